"""Lock files that exist only while they are held, so that none is left behind."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_current"]


def is_current(path: Path, descriptor: int) -> bool:
    """Return whether a path still leads to the open file.

    A holder removes its lock file before releasing it, so a process that waited may have locked one that is gone.
    """
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    own = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)
