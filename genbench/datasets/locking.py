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

__all__ = ["locked"]


@contextlib.contextmanager
def locked(path: Path, private: bool = True) -> Iterator[None]:
    """Hold the lock `.NAME.lock` next to `path` during the block; wait while another process holds it.

    If the folder is not writable, nothing can be built there either, so the block runs without a lock. The lock file
    is accessible only to the user, and is neither written nor truncated; a folder that is created here is accessible
    only to the user too if `private`.

    Raises:
        InputError: the lock is a symbolic link, which may have been planted to damage its target.
    """
    lock = path.with_name(f".{path.name}.lock")
    with contextlib.ExitStack() as held:
        try:
            if private:
                make_private_folder(path.parent)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
            # Do not open it by name for writing: that would truncate the target of a symbolic link.
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
            held.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise InputError(f"{lock}: a symbolic link where a lock belongs; remove it") from error
        yield
