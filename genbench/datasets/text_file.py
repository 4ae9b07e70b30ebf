"""Any file of texts: one a line, or windows of a running text."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from genbench.datasets import texts
from genbench.datasets.dataset import Dataset
from genbench.datasets.decoding import fault_of
from genbench.datasets.options import whole_number
from genbench.datasets.source import Request
from genbench.errors import InputError
from genbench.seeding import derive

__all__ = ["load", "read_lines", "read_text"]


def load(request: Request) -> Dataset:
    """Load a file of UTF-8: each line that is not empty is a text, or with `window=N` each N symbols of the whole.

    Of lines a tenth, or `held_out=N`, is held out, chosen by a hash of its place. Of a running text it is the end, so
    that no held-out window is a neighbour of one to train on but for the first.
    """
    texts.refuse_image_size(request)
    path = Path(os.path.expanduser(request.argument or ""))
    try:
        whole = read_text(path)
        lines, passed_over = read_lines(path, whole)
    except InputError as error:
        raise request.fault(str(error)) from error
    if "window" in request.options:
        return _windows(request, whole)
    if len(lines) < 2:
        raise request.fault(
            f"{path}: has one line, and a text to train on and one to hold out are needed; a running "
            "text is read with window=N"
        )
    count = request.held_out_of(len(lines))
    chosen = set(sorted(range(len(lines)), key=lambda index: derive(0, "held-out", index))[:count])
    train = [line for index, line in enumerate(lines) if index not in chosen]
    remarks = [f"{path}: {passed_over:,} empty lines were passed over"] if passed_over else []
    return texts.dataset_of(request, train, [lines[index] for index in sorted(chosen)], remarks=remarks)


def _windows(request: Request, whole: str) -> Dataset:
    window = whole_number(request, "window", request.options["window"], 1)
    if "length" in request.options:
        raise request.fault("a window is as long as window= says; leave length= out")
    kind = texts.alphabet_of(request, (whole,))
    tokens = texts.tokens_of(request, kind, whole)
    count = len(tokens) // window
    if count < 2:
        raise request.fault(f"the text has {len(tokens):,} symbols, and two windows of {window:,} are needed")
    start = len(tokens) - request.held_out_of(count) * window
    return texts.windows_of(request, kind, tokens[:start], tokens[start:], window)


def read_text(path: Path) -> str:
    """Return what a file of UTF-8 holds.

    Raises:
        InputError: one line that names the path: no such file, empty, binary, or the line that is no UTF-8.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise InputError(
                f"{path}: is {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}; give a text file"
            )
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {fault_of(error)}") from error
    if not content.strip():
        raise InputError(f"{path}: is empty" if not content else f"{path}: holds nothing but white space")
    if b"\0" in content:
        raise InputError(f"{path}: is binary, with a zero byte in line {content[: content.index(0)].count(10) + 1}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}: line {line} is no UTF-8 (byte {content[error.start]:#04x}); convert it, for example with iconv"
        ) from error


def read_lines(path: Path, whole: str) -> tuple[Sequence[str], int]:
    """Return the lines of a text without their ends, and how many empty ones were passed over.

    Raises:
        InputError: all of them are empty.
    """
    lines = [line.removesuffix("\r") for line in whole.removesuffix("\n").split("\n")]
    filled = [line for line in lines if line]
    if not filled:
        raise InputError(f"{path}: all of its lines are empty")
    return filled, len(lines) - len(filled)
