"""A lock beside a file, so that two processes do not make it at the same time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from genbench.errors import InputError
from genbench.machine.atomic import make_private_folder

__all__ = ["locked"]


@contextlib.contextmanager
def locked(path: Path, private: bool = True) -> Iterator[None]:
    """Hold the lock `.NAME.lock` beside `path` during the block; wait while another process holds it.

    Where the folder cannot be written nothing can be made there either, so the block runs without a lock. The file of
    the lock is for the user alone, and is neither written nor emptied; so is the folder where it is made and `private`.

    Raises:
        InputError: a symbolic link is in its place: whoever planted it may have meant what it names.
    """
    lock = path.with_name(f".{path.name}.lock")
    with contextlib.ExitStack() as held:
        try:
            if private:
                make_private_folder(path.parent)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
            # Not to be opened by name for writing: that would empty what a link of this name points to.
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
            held.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise InputError(f"{lock}: a symbolic link where a lock belongs; remove it") from error
        yield
