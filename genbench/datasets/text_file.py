"""Any text file or folder of text files: one text per line; or windows of a running text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from genbench.datasets import text_folder, texts
from genbench.datasets.dataset import Dataset
from genbench.datasets.held_out import compared_texts, own_path
from genbench.datasets.lines import read_lines, read_text
from genbench.datasets.options import whole_number
from genbench.datasets.source import Request
from genbench.errors import InputError
from genbench.seeding import derive

__all__ = ["load"]


def load(request: Request) -> Dataset:
    """Load a UTF-8 file: each non-empty line is a text, or with `window=N` every N symbols of the whole file.

    A tenth of the lines, or `held_out=N`, is held out, chosen by a hash of the line's position. For a running text the
    end is held out, so only the first held-out window is adjacent to a training window. `held_out=PATH` holds out all
    of another file instead. The alphabet covers everything that is read. `text_folder` reads folders.
    """
    texts.refuse_image_size(request)
    paths = [Path(os.path.expanduser(request.argument or "")), *filter(None, (own_path(request),))]
    if os.path.isdir(paths[0]):  # pathlib raises for names that no file can have
        return text_folder.dataset_of(request, *paths)
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
    return dataset if request.own_held_out is None else compared_texts(request, dataset, wholes[:1], wholes[1:])


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
