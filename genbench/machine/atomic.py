"""Files that exist completely or not at all: written under a temporary name next to the target, flushed, renamed.

The folder may be writable by others, for example a cache in a temporary folder. Nothing here therefore follows a
symbolic link planted under a guessable name, and `private` files are accessible to nobody else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from genbench.machine.folders import missing

__all__ = [
    "Replacing",
    "TEMPORARY_PREFIX",
    "make_private_folder",
    "replacing",
    "sweep",
    "try_writing",
    "write_bytes",
    "write_text",
]

TEMPORARY_PREFIX = ".partial-"

Replacing = Callable[[Path], contextlib.AbstractContextManager[Path]]
"""Gives a temporary path for a file and turns it into that file when the block ends, as `replacing` does."""


@contextlib.contextmanager
def replacing(path: Path, private: bool = False) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; rename it to `path` when the block ends, delete it if it raises.

    The file and its folder are flushed to the disk, so after the block the new content survives a power cut, and at
    every moment a reader finds either the old file or the new one.

    Args:
        path: the file's path; a symbolic link is replaced, and its target is left unchanged.
        private: whether the file and the folders created for it are accessible only to the user, as in a cache.
    """
    if private:
        make_private_folder(path.parent)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = _temporary(path)
    try:
        yield temporary
        if not private:
            # mkstemp creates private files; a result should be as readable as any other file that the user writes.
            umask = os.umask(0o077)  # it can only be read by setting it; files of other threads stay private meanwhile
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
        _flush(temporary, os.O_RDONLY)
        temporary.replace(path)
        _flush(path.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def make_private_folder(path: Path) -> None:
    """Create a folder and its missing parents for the user only; an existing folder is left unchanged."""
    for folder in reversed(missing(path)):
        folder.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(exist_ok=True)  # raises if the path exists but is not a folder


def try_writing(folder: Path) -> None:
    """Create a file in an existing folder and remove it.

    Raises:
        OSError: it cannot be created.
    """
    handle, temporary = _temporary(folder / "tried")
    temporary.unlink()
    os.close(handle)


def sweep(directory: Path) -> None:
    """Remove the temporary files that killed processes have left in `directory` and its immediate subfolders."""
    for path in (*directory.glob(f"{TEMPORARY_PREFIX}*"), *directory.glob(f"*/{TEMPORARY_PREFIX}*")):
        # It may have been renamed, its writer may be alive, or in a shared folder it may not be ours, or not a file.
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(handle)


def _temporary(path: Path) -> tuple[int, Path]:
    """Create a temporary file next to `path`, with a lock on it that shows that its writer is alive."""
    while True:
        # The suffix is kept because writers such as matplotlib and PIL take the format from it.
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY_PREFIX, suffix=path.suffix)
        except OSError as error:
            error.filename = str(path)  # the file that the user knows
            raise
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.exists(name):  # otherwise it was swept away before it was locked
            return handle, Path(name)
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, completely or not at all."""
    write_bytes(path, text.encode())


def _flush(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
