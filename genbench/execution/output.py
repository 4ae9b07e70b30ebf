"""The folder of a benchmark: created if it can be written, its files set aside, and nothing empty left in it."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Sequence
from pathlib import Path

from genbench.errors import InputError
from genbench.machine.folders import missing, remove_empty
from genbench.records.record import checkpoint_path

__all__ = ["check_writable", "remove_empty_folders", "set_aside"]


def check_writable(directory: Path) -> list[Path]:
    """Create the folder; return the folders that had to be created, innermost first."""
    records = directory / "records"
    made = missing(records)
    try:
        records.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"output directory {directory} cannot be created: {error.strerror}; choose another with --out"
        ) from error
    if not os.access(records, os.W_OK):
        raise InputError(f"output directory {directory} is not writable; choose another with --out")
    return made


def remove_empty_folders(directory: Path, made: Sequence[Path]) -> None:
    """Remove the folders of locks and checkpoints unless a run is in progress, and folders `made` in vain."""
    with contextlib.suppress(OSError):  # not empty: another run is in progress, or a failed cell may be resumed
        if (directory / "locks").exists():
            (directory / "locks").rmdir()
            # Only after the locks: a process that writes a checkpoint holds a lock.
            checkpoint_path(directory, "").parent.rmdir()
    remove_empty(made)


def set_aside(path: Path, directory: Path) -> None:
    """Move what lies at a path to `replaced/`, so that nothing is overwritten."""
    if not os.path.lexists(path):
        return
    target = directory / "replaced" / f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}" / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
