"""A lock next to a file, so that two processes do not build it at the same time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from genbench.errors import InputError
from genbench.machine.atomic import make_private_folder
from genbench.machine.folders import missing, remove_empty
from genbench.machine.lock_file import is_current

__all__ = ["locked"]


@contextlib.contextmanager
def locked(path: Path, private: bool = True) -> Iterator[None]:
    """Hold the lock `.NAME.lock` next to `path` during the block; wait while another process holds it.

    If the folder is not writable, nothing can be built there either, so the block runs without a lock. The lock file
    is accessible only to the user, and is neither written nor truncated; a folder that is created here is accessible
    only to the user too if `private`. Afterwards the lock file is removed, and a folder created here that is empty.

    Raises:
        InputError: the lock is a symbolic link, which may have been planted to damage its target.
    """
    lock = path.with_name(f".{path.name}.lock")
    made = missing(path.parent)
    with contextlib.ExitStack() as held:
        try:
            descriptor = _acquired(lock, private)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise InputError(f"{lock}: a symbolic link where a lock belongs; remove it") from error
        else:
            held.callback(remove_empty, made)
            held.callback(os.close, descriptor)
            held.callback(_remove, lock, descriptor)  # first of these: while the lock is held
        yield


def _acquired(lock: Path, private: bool) -> int:
    """Return the descriptor of the lock file, once no other process holds it."""
    while True:
        if private:
            make_private_folder(lock.parent)
        else:
            lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Do not open it by name for writing: that would truncate the target of a symbolic link.
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except FileNotFoundError:  # another process has just removed the empty folder
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if is_current(lock, descriptor):
                return descriptor
        except BaseException:  # Ctrl-C too
            os.close(descriptor)
            raise
        os.close(descriptor)


def _remove(lock: Path, descriptor: int) -> None:
    if os.fstat(descriptor).st_size == 0:  # else it was there before, of another program
        with contextlib.suppress(OSError):
            lock.unlink()
