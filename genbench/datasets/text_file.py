"""Any text file: one text per line, or windows of a running text."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from genbench.datasets import texts
from genbench.datasets.dataset import Dataset
from genbench.datasets.decoding import fault_of
from genbench.datasets.held_out import overlap, own_path
from genbench.datasets.options import whole_number
from genbench.datasets.source import Request
from genbench.errors import InputError
from genbench.seeding import derive

__all__ = ["load", "read_lines", "read_text"]


def load(request: Request) -> Dataset:
    """Load a UTF-8 file: each non-empty line is a text, or with `window=N` every N symbols of the whole file.

    A tenth of the lines, or `held_out=N`, is held out, chosen by a hash of the line's position. For a running text the
    end is held out, so only the first held-out window is adjacent to a training window. `held_out=PATH` holds out all
    of another file instead. The alphabet covers everything that is read.
    """
    texts.refuse_image_size(request)
    paths = [Path(os.path.expanduser(request.argument or "")), *filter(None, (own_path(request),))]
    try:
        wholes = [read_text(path) for path in paths]
        lines = [read_lines(path, whole) for path, whole in zip(paths, wholes, strict=True)]
    except InputError as error:
        raise request.fault(str(error)) from error
    if "window" in request.options:
        dataset = _windows(request, wholes)
    else:
        remarks = [
            f"{path}: {count:,} empty lines were passed over"
            for path, (_, count) in zip(paths, lines, strict=True)
            if count
        ]
        dataset = texts.dataset_of(request, *_split(request, [each for each, _ in lines]), remarks=remarks)
    if request.own_held_out is None:
        return dataset
    said = [overlap(request, dataset.train.items, dataset.held_out.items, dataset.kind), _strange(request, wholes)]
    return replace(dataset, remark="; ".join(filter(None, (dataset.remark, *said))) or None)


def _split(request: Request, lines: Sequence[Sequence[str]]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the training lines and the held-out lines, from one file or two."""
    first = lines[0]
    if len(lines) == 2:
        return first, lines[1]
    if len(first) < 2:
        raise request.fault(
            f"{request.argument}: has one line, and one text to train on and one to hold out are needed; a running "
            "text is read with window=N"
        )
    count = request.held_out_of(len(first))
    chosen = set(sorted(range(len(first)), key=lambda index: derive(0, "held-out", index))[:count])
    train = [line for index, line in enumerate(first) if index not in chosen]
    return train, [first[index] for index in sorted(chosen)]


def _windows(request: Request, wholes: Sequence[str]) -> Dataset:
    window = whole_number(request, "window", request.options["window"], 1)
    if "length" in request.options:
        raise request.fault("a window is as long as window= says; leave length= out")
    kind = texts.alphabet_of(request, wholes)
    tokens = [texts.tokens_of(request, kind, whole) for whole in wholes]
    if len(tokens) == 2:
        return texts.windows_of(request, kind, tokens[0], tokens[1], window)
    (whole,) = tokens
    count = len(whole) // window
    if count < 2:
        raise request.fault(f"the text has {len(whole):,} symbols, and two windows of {window:,} are needed")
    start = len(whole) - request.held_out_of(count) * window
    return texts.windows_of(request, kind, whole[:start], whole[start:], window)


def _strange(request: Request, wholes: Sequence[str]) -> str | None:
    """Report the characters that occur in held-out texts but never in training texts."""
    strange = sorted(set(wholes[1]) - set(wholes[0]))
    if not strange:
        return None
    return (
        f"{request.own_held_out}: {len(strange):,} of its characters, such as {strange[0]!r}, are nowhere in "
        f"{request.argument}"
    )


def read_text(path: Path) -> str:
    """Return the content of a UTF-8 file.

    Raises:
        InputError: one line that names the path: no such file, empty, binary, or a line that is not valid UTF-8.
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
            f"{path}: line {line} is not UTF-8 (byte {content[error.start]:#04x}); convert it, for example with iconv"
        ) from error


def read_lines(path: Path, whole: str) -> tuple[Sequence[str], int]:
    """Return the lines of a text without their ends, and the number of empty lines skipped.

    Raises:
        InputError: all of them are empty.
    """
    lines = [line.removesuffix("\r") for line in whole.removesuffix("\n").split("\n")]
    filled = [line for line in lines if line]
    if not filled:
        raise InputError(f"{path}: all of its lines are empty")
    return filled, len(lines) - len(filled)
