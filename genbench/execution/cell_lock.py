"""A lock for each cell, so that two `genbench run` commands on one directory share the work and never clash."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from genbench.machine.lock_file import is_current

__all__ = ["CellLock", "held_locks"]


class CellLock:
    """The lock of one cell: the file `DIR/locks/ID`, which exists while the lock is held.

    A worker that inherits the descriptor also holds the lock, so if the parent is killed, the lock lasts until the
    worker has ended.
    """

    def __init__(self, directory: Path, cell_id: str, folder: str = "locks") -> None:
        self._path = directory / folder / cell_id
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock unless another process holds it; return whether it was acquired."""
        while True:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            except FileNotFoundError:  # another run has just ended and removed the empty folder
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            if is_current(self._path, descriptor):
                self._descriptor = descriptor
                return True
            os.close(descriptor)

    @property
    def held(self) -> bool:
        """Whether the lock is held."""
        return self._descriptor is not None

    @property
    def descriptor(self) -> int:
        """The file descriptor that holds the lock."""
        assert self._descriptor is not None, "acquire first"
        return self._descriptor

    def release(self) -> None:
        """Remove the file and release the lock."""
        self._path.unlink(missing_ok=True)
        os.close(self.descriptor)
        self._descriptor = None


def held_locks(directory: Path) -> set[str]:
    """Return the ids of the cells in a benchmark's folder that a process has locked, which are the running ones.

    If the holder of a lock was killed, its file remains, unlocked. This check takes each lock for a moment; a run that
    finds it taken assumes that another run has the cell, and tries again.
    """
    held = set()
    for path in sorted((directory / "locks").glob("[!.]*")):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # it has just been released
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            held.add(path.name)
        finally:
            os.close(descriptor)
    return held
