"""A folder of text files: one text per line, class sub-folders optional."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genbench.datasets import texts
from genbench.datasets.dataset import Dataset
from genbench.datasets.finding import find_files
from genbench.datasets.held_out import compared_texts
from genbench.datasets.lines import read_lines, read_text
from genbench.datasets.listing import (
    are_classed,
    are_classed_alike,
    held_out_folder,
    require_trained_classes,
    require_whole,
)
from genbench.datasets.source import Request
from genbench.errors import InputError
from genbench.seeding import derive

__all__ = ["SUFFIX", "dataset_of"]

SUFFIX = ".txt"


@dataclass(frozen=True)
class _Lines:
    """The texts of a folder, in a random order that is always the same.

    Args:
        folder: where they are.
        names: the files that were read, relative to it.
        rows: each text's file, and the text.
        remarks: notes for the user on what was passed over.
    """

    folder: Path
    names: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.rows]

    @property
    def classes(self) -> list[str]:
        """The class sub-folder of each text, where there are classes."""
        return [name.split("/")[0] for name, _ in self.rows]


def dataset_of(request: Request, root: Path, own: Path | None = None) -> Dataset:
    """Read the `.txt` files of a folder and its sub-folders: each non-empty line is a text.

    Split and classes are as in `folder:PATH`: sub-folders `train` and `test`, or the path that `held_out=` names, else
    a tenth of the texts, or `held_out=N`, chosen by a hash; class sub-folders, if every file lies in one.

    Args:
        request: its options specify how texts are read.
        root: the folder.
        own: the folder of held-out texts that the user named, or None.

    Raises:
        InputError: no such files, a file cannot be read, the parts do not match, or there is too little to split.
    """
    if "window" in request.options:
        raise request.fault(f"window= cuts one running text, and {root} is a folder; leave it out, or give a file")
    inner = held_out_folder(root)
    if own is not None or inner is not None:
        folders = (root, _own(request, root, own)) if own is not None else (root / "train", root / str(inner))
        train, held_out = (_read(request, folder) for folder in folders)
        classed = are_classed_alike(request, train.folder, train.names, held_out.folder, held_out.names)
        remarks = [*train.remarks, *held_out.remarks]
    else:
        whole = _read(request, root)
        train, held_out = _split(request, whole)
        classed, remarks = are_classed(whole.names), [*whole.remarks]
    labels = class_names = None
    if classed:
        require_trained_classes(request, [*train.classes, *held_out.classes], len(train.classes), "texts")
        class_names = tuple(sorted(set(train.classes)))
        numbers = {name: number for number, name in enumerate(class_names)}
        labels = [numbers[name] for name in train.classes], [numbers[name] for name in held_out.classes]
        remarks += _lacking(held_out.classes, class_names)
    dataset = texts.dataset_of(request, train.texts, held_out.texts, labels, class_names, remarks)
    return dataset if own is None else compared_texts(request, dataset, train.texts, held_out.texts)


def _own(request: Request, root: Path, own: Path) -> Path:
    """Return the user's held-out folder, checked to be one, with all of either folder on one side."""
    if not os.path.isdir(own):
        fault = f"is a file, and {root} is a folder; give both the same" if os.path.exists(own) else "no such folder"
        raise request.fault(f"{own}: {fault}")
    require_whole(request, root, own)
    return own


def _split(request: Request, whole: _Lines) -> tuple[_Lines, _Lines]:
    if len(whole.rows) < 2:
        raise request.fault(f"{whole.folder} holds one text; at least one to train on and one to hold out are needed")
    count = request.held_out_of(len(whole.rows))
    return replace(whole, rows=whole.rows[count:]), replace(whole, rows=whole.rows[:count])


def _lacking(held_out: Sequence[str], class_names: Sequence[str]) -> Iterator[str]:
    """Report the classes of which no text is held out."""
    held = set(held_out)
    if lacking := [name for name in class_names if name not in held]:
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        yield f"no text is held out of {', '.join(lacking[:5])}{more}"


def _read(request: Request, folder: Path) -> _Lines:
    """Return all texts below a folder, at least one."""
    try:
        found = find_files(folder, lambda name: name.lower().endswith(SUFFIX) and not name.startswith("."))
        read = {name: read_lines(folder / name, read_text(folder / name)) for name in found.names}
    except InputError as error:
        raise request.fault(str(error)) from error
    passed = found.remark()
    if not read:
        beside = f" (passed over: {passed})" if passed else ""
        raise request.fault(f"no texts in {folder} or below{beside}; genbench reads {SUFFIX}, one text per line")
    rows = [(name, number, line) for name, (lines, _) in read.items() for number, line in enumerate(lines)]
    rows.sort(key=lambda row: derive(0, "held-out", row[0], row[1]))
    remarks = [f"of {folder} passed over: {passed}"] if passed else []
    if empty := sum(skipped for _, skipped in read.values()):
        remarks.append(f"{folder}: {empty:,} empty lines were passed over")
    return _Lines(folder, found.names, tuple((name, line) for name, _, line in rows), tuple(remarks))
