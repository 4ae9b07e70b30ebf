"""A lock beside a file, so that two processes do not make it at the same time."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

__all__ = ["locked"]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock `.NAME.lock` beside `path` during the block; wait while another process holds it.

    Where the folder cannot be written nothing can be made there either, so the block runs without a lock.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = held.enter_context(path.with_name(f".{path.name}.lock").open("w"))
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
