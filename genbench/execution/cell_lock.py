"""A lock for each cell, so that two `genbench run` on one directory share the work and never both write a cell."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["CellLock", "held_locks"]


class CellLock:
    """The lock of one cell: `DIR/locks/ID`, there while it is held.

    A worker that inherits the descriptor holds the lock too, so it outlives a parent that is killed until the worker
    has ended as well.
    """

    def __init__(self, directory: Path, cell_id: str, folder: str = "locks") -> None:
        self._path = directory / folder / cell_id
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock unless another process holds it; return whether it was taken."""
        while True:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            except FileNotFoundError:  # another run has ended just now, and taken the empty folder away
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            # Its holder removes the file before it lets go: then this lock is on a file that nobody will find.
            if self._is_current(descriptor):
                self._descriptor = descriptor
                return True
            os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        own = os.fstat(descriptor)
        return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)

    @property
    def held(self) -> bool:
        """Whether it has been taken and not been released."""
        return self._descriptor is not None

    @property
    def descriptor(self) -> int:
        """The file descriptor that holds the lock."""
        assert self._descriptor is not None, "acquire first"
        return self._descriptor

    def release(self) -> None:
        """Remove the file and let go."""
        self._path.unlink(missing_ok=True)
        os.close(self.descriptor)
        self._descriptor = None


def held_locks(directory: Path) -> set[str]:
    """Return the ids of the cells of a benchmark's folder that a process holds: those that run.

    A lock whose holder was killed is a file that nobody holds. Looking takes a lock for a moment; a run that meets it
    takes the cell for another's, and looks again.
    """
    held = set()
    for path in sorted((directory / "locks").glob("[!.]*")):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # it has been released just now
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            held.add(path.name)
        finally:
            os.close(descriptor)
    return held
