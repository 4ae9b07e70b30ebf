"""Folders that a command creates, and takes away again if nothing came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

__all__ = ["missing", "remove_empty"]


def missing(path: Path) -> list[Path]:
    """Return the folders on the way to a path, itself included, that do not exist, innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, innermost first, up to the first that is not empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()
