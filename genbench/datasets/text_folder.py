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
from genbench.datasets.listing import are_classed, held_out_folder, require_trained_classes
from genbench.datasets.source import Request
from genbench.errors import InputError
from genbench.seeding import derive

__all__ = ["SUFFIX", "dataset_of"]

SUFFIX = ".txt"


@dataclass(frozen=True)
class _Side:
    """The texts of a folder in a random order that is always the same, the class of each, and what was passed over.

    Args:
        folder: where they are.
        texts: the non-empty lines of its files.
        classes: the class sub-folder of each text; all None without classes.
        remarks: notes for the user.
    """

    folder: Path
    texts: tuple[str, ...]
    classes: tuple[str | None, ...]
    remarks: tuple[str, ...]

    @property
    def is_classed(self) -> bool:
        return self.classes[0] is not None

    def part(self, start: int, stop: int | None = None) -> _Side:
        return replace(self, texts=self.texts[start:stop], classes=self.classes[start:stop])


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
    if own is not None:
        train, held_out = _two(request, *_whole(request, root, own))
    elif inner is not None:
        train, held_out = _two(request, root / "train", root / inner)
    else:
        train, held_out = _split(request, _read(request, root))
    require_trained_classes(request, [*train.classes, *held_out.classes], len(train.classes), "texts")
    remarks = [*train.remarks, *(held_out.remarks if held_out.folder != train.folder else ())]
    labels = class_names = None
    if train.is_classed:
        class_names = tuple(sorted({str(name) for name in train.classes}))
        numbers = {name: number for number, name in enumerate(class_names)}
        labels = [numbers[str(name)] for name in train.classes], [numbers[str(name)] for name in held_out.classes]
        remarks += _lacking(held_out, class_names)
    dataset = texts.dataset_of(request, train.texts, held_out.texts, labels, class_names, remarks)
    return dataset if own is None else compared_texts(request, dataset, train.texts, held_out.texts)


def _whole(request: Request, root: Path, own: Path) -> tuple[Path, Path]:
    """Check that the user's two paths are folders without a split of their own."""
    if not os.path.isdir(own):
        fault = f"is a file, and {root} is a folder; give both the same" if os.path.exists(own) else "no such folder"
        raise request.fault(f"{own}: {fault}")
    for folder in (root, own):
        if (inner := held_out_folder(folder)) is not None:
            raise request.fault(f"{folder} holds a split of its own, train and {inner}; name one of these folders")
    return root, own


def _two(request: Request, folder: Path, other: Path) -> tuple[_Side, _Side]:
    """Read all of one folder to train on and all of another to hold out."""
    train = _read(request, folder)
    held_out = _read(request, other, train)
    if held_out.is_classed and not train.is_classed:
        raise request.fault(f"{other} has class folders and {folder} has none; give both the same, or neither")
    return train, held_out


def _split(request: Request, whole: _Side) -> tuple[_Side, _Side]:
    if len(whole.texts) < 2:
        raise request.fault(f"{whole.folder} holds one text; at least one to train on and one to hold out are needed")
    count = request.held_out_of(len(whole.texts))
    return whole.part(count), whole.part(0, count)


def _lacking(held_out: _Side, class_names: Sequence[str]) -> Iterator[str]:
    held = set(held_out.classes)
    if lacking := [name for name in class_names if name not in held]:
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        yield f"no text is held out of {', '.join(lacking[:5])}{more}"


def _read(request: Request, folder: Path, trained: _Side | None = None) -> _Side:
    """Return all texts below a folder, at least one; those to hold out have classes if the training texts have."""
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
    classed = are_classed(found.names)
    if trained is not None and trained.is_classed:
        classed = True
        if (loose := next((name for name in found.names if "/" not in name), None)) is not None:
            raise request.fault(f"{folder / loose} lies in no class folder, and {trained.folder} has them; move it")
    remarks = [f"of {folder} passed over: {passed}"] if passed else []
    if empty := sum(skipped for _, skipped in read.values()):
        remarks.append(f"{folder}: {empty:,} empty lines were passed over")
    return _Side(
        folder,
        tuple(line for *_, line in rows),
        tuple(name.split("/")[0] if classed else None for name, *_ in rows),
        tuple(remarks),
    )
