"""Work done by a copy of this process while this one goes on."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from genbench.machine.ending import end_with_parent

__all__ = ["beside"]

_THREADS = Path("/proc/self/task")

Work = Callable[[], list[bytes]]


@contextlib.contextmanager
def beside(work: Work) -> Iterator[Work]:
    """Let a copy of this process do `work` while the block runs.

    No copy is made on systems other than Linux, nor if this process has more than one thread: the copy would have only
    the current one, and a lock that another held would stay locked. `work` is then done when its result is asked for,
    as it is if the system refuses another process, or if the copy ends without a result: so errors are raised here.

    Args:
        work: must neither print nor change anything outside the process.

    Yields:
        A function that waits for the result and returns it.
    """
    reading, writing = multiprocessing.Pipe(duplex=False)
    parent = os.getpid()
    copy = _forked() if _is_alone() else None
    if copy == 0:
        _do(work, writing, parent)
    writing.close()
    with reading:
        try:
            yield work if copy is None else lambda: _result(reading, work)
        finally:
            if copy is not None:
                with contextlib.suppress(ProcessLookupError, ChildProcessError):  # where the system removes the ended
                    os.kill(copy, signal.SIGKILL)  # it has ended, unless the block was left without the result
                    os.waitpid(copy, 0)


def _forked() -> int | None:
    """Return 0 in the copy and its process ID in this process, or None if there is no room for another process."""
    try:
        return os.fork()
    except OSError:
        return None


def _is_alone() -> bool:
    """Return whether a copy would be complete: this process has one thread, also of those that libraries start."""
    return sys.platform == "linux" and _THREADS.is_dir() and len(os.listdir(_THREADS)) == 1


def _do(work: Work, writing: Connection, parent: int) -> None:
    """Send the result of `work` and end this process, silently and without its cleanup."""
    try:
        end_with_parent(parent)
        contents = work()
        writing.send_bytes(str(len(contents)).encode())
        for content in contents:
            writing.send_bytes(content)
    finally:
        os._exit(0)


def _result(reading: Connection, work: Work) -> list[bytes]:
    try:
        return [reading.recv_bytes() for _ in range(int(reading.recv_bytes()))]
    except (EOFError, OSError):
        return work()
