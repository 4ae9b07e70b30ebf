"""Whether images fit into the memory and onto the disk: looked at before anything is allocated or written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil

from genbench.datasets.source import Request

__all__ = ["has_room", "require_memory", "require_one_image", "shortage"]

_COPIES = 3  # of an image while it is resized: the decoded one, the resized one, and that as an array


def has_room(folder: Path, size: int) -> bool:
    """Return whether `size` bytes fit onto the disk that `folder` is on, whether or not the folder is there yet."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return size <= shutil.disk_usage(there).free


def shortage(size: int) -> str | None:
    """Return how far `size` bytes are from fitting into the free memory, or None where they fit."""
    free = int(psutil.virtual_memory().available)
    if size <= free:
        return None
    return f"need {size / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} GB are free; ask for fewer or smaller ones"


def require_memory(request: Request, size: int, noun: str = "images") -> None:
    """Raise `InputError` unless `size` bytes, of items called `noun`, are free in the memory."""
    if (fault := shortage(size)) is not None:
        raise request.fault(f"its {noun} {fault}")


def require_one_image(request: Request, image_bytes: int, noun: str = "images") -> None:
    """Raise `InputError` unless the items that are decoded at one time, one a thread, fit into the memory."""
    require_memory(request, image_bytes * _COPIES * min(32, os.cpu_count() or 1), noun)
