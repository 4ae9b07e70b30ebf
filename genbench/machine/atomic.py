"""Files that are there whole or not at all: written under a temporary name beside the target, flushed, renamed.

A folder may be one that others can write to, as a cache in a temporary folder is. So nothing here follows a symbolic
link that was planted under a name that can be guessed, and what is `private` is open to nobody else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["Replacing", "TEMPORARY_PREFIX", "make_private_folder", "replacing", "sweep", "write_bytes", "write_text"]

TEMPORARY_PREFIX = ".partial-"

Replacing = Callable[[Path], contextlib.AbstractContextManager[Path]]
"""Gives a temporary path for a file and makes it that file when the block ends, as `replacing` does."""


@contextlib.contextmanager
def replacing(path: Path, private: bool = False) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; rename it to `path` when the block ends, drop it if it raises.

    The file and its folder are flushed to the disk, so after the block the new content survives a power cut, and at
    every moment a reader finds either the old file or the new one.

    Args:
        path: of the file; a symbolic link is replaced, and what it names stays as it is.
        private: whether the file and the folders made for it are for the user alone, as those of a cache.
    """
    if private:
        make_private_folder(path.parent)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = _temporary(path)
    try:
        yield temporary
        if not private:
            # mkstemp makes files private; a result is as readable as any other file that the user writes.
            umask = os.umask(0o077)  # asked by setting it: what another thread makes meanwhile is open to nobody else
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
        _flush(temporary, os.O_RDONLY)
        temporary.replace(path)
        _flush(path.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for the user alone; one that is there stays as it is."""
    for folder in reversed([each for each in (path, *path.parents) if not each.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(exist_ok=True)  # raises where it is there as something else


def sweep(directory: Path) -> None:
    """Remove the temporary files that killed processes have left in `directory` and the folders in it."""
    for path in (*directory.glob(f"{TEMPORARY_PREFIX}*"), *directory.glob(f"*/{TEMPORARY_PREFIX}*")):
        # Renamed meanwhile, or its writer is alive; or another user's, or no file at all, in a folder that is shared.
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(handle)


def _temporary(path: Path) -> tuple[int, Path]:
    """Make a temporary file beside `path`, with a lock on it that says that its writer is alive."""
    while True:
        # The suffix is kept because writers such as matplotlib and PIL take the format from it.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY_PREFIX, suffix=path.suffix)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.exists(name):  # else it was swept away before it was locked
            return handle, Path(name)
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def _flush(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
