"""Checks that items fit into memory and onto the disk before anything is allocated or written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil

from genbench.datasets.source import Request

__all__ = ["has_room", "require_memory", "require_one_image", "shortage"]

_COPIES = 3  # copies of an image while it is resized: the decoded one, the resized one, and the latter as an array


def has_room(folder: Path, size: int) -> bool:
    """Return whether `size` bytes fit onto the disk of `folder`, whether or not the folder exists yet."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return size <= shutil.disk_usage(there).free


def shortage(size: int) -> str | None:
    """Return a message if `size` bytes do not fit into the free memory, or None if they do."""
    free = int(psutil.virtual_memory().available)
    if size <= free:
        return None
    return f"need {size / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} GB are free; ask for fewer or smaller ones"


def require_memory(request: Request, size: int, noun: str = "images") -> None:
    """Raise `InputError` unless `size` bytes of memory are free for items called `noun`."""
    if (fault := shortage(size)) is not None:
        raise request.fault(f"its {noun} {fault}")


def require_one_image(request: Request, image_bytes: int, noun: str = "images") -> None:
    """Raise `InputError` unless the items decoded concurrently, one per thread, fit into memory."""
    require_memory(request, image_bytes * _COPIES * min(32, os.cpu_count() or 1), noun)
