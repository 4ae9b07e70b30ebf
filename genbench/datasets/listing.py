"""Splits the files of a folder into training and held-out files, and determines their classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genbench.datasets.dataset import REFERENCE_LIMIT
from genbench.datasets.finding import Found, find_files
from genbench.datasets.held_out import own_path
from genbench.datasets.source import Request
from genbench.datasets.storage import digest
from genbench.errors import InputError
from genbench.seeding import derive

__all__ = [
    "HELD_OUT_FOLDERS",
    "Listing",
    "Wanted",
    "are_classed",
    "are_classed_alike",
    "held_out_folder",
    "listed",
    "require_trained_classes",
    "require_whole",
]

HELD_OUT_FOLDERS = ("held_out", "held-out", "test", "val", "valid", "validation")  # the first one present is used


@dataclass(frozen=True)
class Listing:
    """The files of a folder by name, in storage order: training files first.

    Args:
        root: the folder.
        names: relative to the root, with forward slashes; full paths for held-out files elsewhere.
        train_count: how many of them are trained on.
        classes: the class sub-folder of each file; None without classes.
        split_by_folders: whether sub-folders define the split.
    """

    root: Path
    names: tuple[str, ...]
    train_count: int
    classes: tuple[str | None, ...]
    split_by_folders: bool

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The classes, sorted by name, or None if there are none."""
        return tuple(sorted({name for name in self.classes if name is not None})) or None

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """The class index of each file, (N,), or None without classes."""
        if self.class_names is None:
            return None
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return np.array([numbers[name] for name in self.classes if name is not None], np.int64)


@dataclass(frozen=True)
class Wanted:
    """The kind of files to look for.

    Args:
        by_name: whether a file with this name is wanted.
        noun: the plural noun for the items.
        kinds: the supported suffixes, for error messages.
    """

    by_name: Callable[[str], bool]
    noun: str
    kinds: str


def listed(request: Request, wanted: Wanted, one_may_do: bool = False) -> tuple[Listing, list[str]]:
    """Return the files of the requested folder, and remarks on what was skipped there.

    Args:
        request: its argument is the folder; its `held_out=` may name another one.
        wanted: the kind of files to read.
        one_may_do: whether a single file may be split into a training and a held-out part.

    Raises:
        InputError: no such folder, no such files, or they cannot be split.
    """
    root, own = Path(os.path.expanduser(request.argument or "")), own_path(request)
    found = _found(request, root, wanted)
    passed = found.remark()
    remarks = [] if passed is None else [f"passed over: {passed}"]
    if own is not None:
        other = _found(request, own, wanted)
        passed = other.remark()
        remarks += [] if passed is None else [f"of {own} passed over: {passed}"]
        return _list_two(request, root, found.names, own, other.names, wanted.noun), remarks
    if one_may_do and len(found.names) == 1:
        return Listing(root, found.names, 1, (None,), False), remarks
    return _list_one(request, root, list(found.names), wanted.noun), remarks


def _found(request: Request, root: Path, wanted: Wanted) -> Found:
    """Return the wanted files in `root` and its sub-folders, at least one."""
    if not os.path.isdir(root):  # os.path: pathlib raises for names that no file can have
        fault = "is a file; give the folder that holds it" if os.path.exists(root) else "no such folder"
        raise request.fault(f"{root}: {fault}")
    try:
        found = find_files(root, wanted.by_name)
    except InputError as error:
        raise request.fault(str(error)) from error
    if not found.names:
        remark = found.remark()
        beside = f" (passed over: {remark})" if remark else ""
        raise request.fault(f"no {wanted.noun} in {root} or below{beside}; genbench reads {wanted.kinds}")
    return found


def _list_one(request: Request, root: Path, names: list[str], noun: str) -> Listing:
    """Split the files of one folder, named relative to it, into training and held-out files."""
    folder = held_out_folder(root)
    if folder is not None:
        train = [name for name in names if name.startswith("train/")]
        held_out = [name for name in names if name.startswith(f"{folder}/")]
        lacking, depth = f"{root / ('train' if not train else folder)} holds no {noun}", 1
    else:
        held_out_count = request.held_out_of(len(names)) if len(names) > 1 else 1
        chosen = set(sorted(names, key=lambda name: derive(0, "held-out", digest(name)))[:held_out_count])
        train = [name for name in names if name not in chosen]
        held_out = [name for name in names if name in chosen]
        lacking, depth = f"{root} holds 1 {noun[:-1]}", 0
    if not train or not held_out:
        raise request.fault(f"{lacking}; at least one to train on and one to hold out are needed")
    train = list(_ordered(train))
    return Listing(root, (*train, *held_out), len(train), _classes(request, train, held_out, depth, noun), depth > 0)


def _list_two(
    request: Request, root: Path, names: Sequence[str], own: Path, own_names: Sequence[str], noun: str
) -> Listing:
    """List all files of one folder as training files and all of another as held-out files."""
    require_whole(request, root, own)
    classed = are_classed_alike(request, root, names, own, own_names)
    train = _ordered(names)
    classes = tuple(name.split("/")[0] if classed else None for name in (*train, *own_names))
    require_trained_classes(request, classes, len(train), noun)
    return Listing(root, (*train, *(str(own.absolute() / name) for name in own_names)), len(train), classes, True)


def require_whole(request: Request, *folders: Path) -> None:
    """Raise `InputError` if one of the folders holds a split of its own."""
    for folder in folders:
        if (inner := held_out_folder(folder)) is not None:
            raise request.fault(f"{folder} holds a split of its own, train and {inner}; name one of these folders")


def are_classed_alike(request: Request, root: Path, names: Sequence[str], own: Path, own_names: Sequence[str]) -> bool:
    """Return whether the files of a training and of a held-out folder have classes.

    Raises:
        InputError: only those of one folder do.
    """
    classed = are_classed(names)
    if are_classed(own_names) and not classed:
        raise request.fault(f"{own} has class folders and {root} has none; give both the same, or neither")
    if classed and (loose := next((name for name in own_names if "/" not in name), None)):
        raise request.fault(f"{own / loose} lies in no class folder, and {root} has them; move it into one")
    return classed


def are_classed(names: Sequence[str]) -> bool:
    """Return whether every file is in a sub-folder and there are at least two sub-folders."""
    return all("/" in name for name in names) and len({name.split("/")[0] for name in names}) > 1


def _ordered(names: Sequence[str]) -> Sequence[str]:
    """Return training files in storage order: the first are the reference, and sorted ones would cover few classes."""
    if len(names) <= REFERENCE_LIMIT:
        return names
    return sorted(names, key=lambda name: derive(0, "order", digest(name)))


def held_out_folder(root: Path) -> str | None:
    """Return the sub-folder with the held-out files, or None if the folder has no split of its own."""
    folder = next((name for name in HELD_OUT_FOLDERS if (root / name).is_dir()), None)
    return folder if (root / "train").is_dir() else None


def _classes(request: Request, train: list[str], held_out: list[str], depth: int, noun: str) -> tuple[str | None, ...]:
    """Return the class sub-folder of each file; all None if some file has none or there is only one class."""
    parts = [name.split("/") for name in (*train, *held_out)]
    if any(len(part) < depth + 2 for part in parts):
        return (None,) * len(parts)
    classes = [part[depth] for part in parts]
    if depth:
        require_trained_classes(request, classes, len(train), noun)
    return tuple(classes) if len(set(classes)) > 1 else (None,) * len(parts)


def require_trained_classes(request: Request, classes: Sequence[str | None], train_count: int, noun: str) -> None:
    """Raise `InputError` if one of the held-out classes, which follow `train_count` training ones, is not trained."""
    strange = set(classes[train_count:]) - set(classes[:train_count])
    if strange:
        first = min(map(str, strange))
        raise request.fault(f"class {first!r} has held-out {noun} but none to train on; move its folder")
