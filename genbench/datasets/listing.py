"""Which files of a folder are trained on and which are held out, and of which class each is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genbench.datasets.dataset import REFERENCE_LIMIT
from genbench.datasets.finding import Found, find_files
from genbench.datasets.source import Request
from genbench.datasets.storage import digest
from genbench.errors import InputError
from genbench.seeding import derive

__all__ = ["HELD_OUT_FOLDERS", "Listing", "found_files", "list_files"]

HELD_OUT_FOLDERS = ("held_out", "held-out", "test", "val", "valid", "validation")  # the first that is there counts


@dataclass(frozen=True)
class Listing:
    """The files of a folder by name, in the order they are stored: those to train on first.

    Args:
        root: the folder.
        names: relative to the root, with forward slashes.
        train_count: how many of them are trained on.
        classes: of each file: its class sub-folder; None where there are no classes.
        split_by_folders: whether the folder says which are held out.
    """

    root: Path
    names: tuple[str, ...]
    train_count: int
    classes: tuple[str | None, ...]
    split_by_folders: bool

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The classes in the order of their names, or None where there are none."""
        return tuple(sorted({name for name in self.classes if name is not None})) or None

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """The class of each file, (N,), or None where there are none."""
        if self.class_names is None:
            return None
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return np.array([numbers[name] for name in self.classes if name is not None], np.int64)


def found_files(request: Request, root: Path, is_wanted: Callable[[str], bool], noun: str, kinds: str) -> Found:
    """Return the wanted files at or below `root`, of which there is one at least.

    Args:
        request: in whose name errors are raised.
        root: the folder.
        is_wanted: says it of a file's name.
        noun: what many of them are called.
        kinds: the suffixes that are read, for the error.

    Raises:
        InputError: there are none, or a folder cannot be read.
    """
    try:
        found = find_files(root, is_wanted)
    except InputError as error:
        raise request.fault(str(error)) from error
    if not found.names:
        remark = found.remark()
        beside = f" (passed over: {remark})" if remark else ""
        raise request.fault(f"no {noun} in {root} or below{beside}; genbench reads {kinds}")
    return found


def list_files(request: Request, root: Path, names: list[str], noun: str) -> Listing:
    """Split files, named relative to `root`, into those to train on and those that are held out.

    Args:
        request: whose part says how many are held out.
        root: the folder.
        names: of the files, sorted.
        noun: what many of them are called.

    Raises:
        InputError: there is nothing to train on or nothing to hold out, or a held-out class that is not trained on.
    """
    folder = next((name for name in HELD_OUT_FOLDERS if (root / name).is_dir()), None)
    if folder is not None and (root / "train").is_dir():
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
    if len(train) > REFERENCE_LIMIT:  # the first of them stand for all, and sorted by name they are of a few classes
        train = sorted(train, key=lambda name: derive(0, "order", digest(name)))
    return Listing(root, (*train, *held_out), len(train), _classes(request, train, held_out, depth, noun), depth > 0)


def _classes(request: Request, train: list[str], held_out: list[str], depth: int, noun: str) -> tuple[str | None, ...]:
    """Return the class sub-folder of each file, or all None where not every file has one or there is only one."""
    parts = [name.split("/") for name in (*train, *held_out)]
    if any(len(part) < depth + 2 for part in parts):
        return (None,) * len(parts)
    classes = [part[depth] for part in parts]
    strange = sorted(set(classes[len(train) :]) - set(classes[: len(train)])) if depth else []
    if strange:
        raise request.fault(f"class {strange[0]!r} has held-out {noun} but none to train on; move its folder")
    return tuple(classes) if len(set(classes)) > 1 else (None,) * len(parts)
