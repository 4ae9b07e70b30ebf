"""Work done by a copy of this process while this one goes on."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

__all__ = ["beside"]

T = TypeVar("T")

_THREADS = Path("/proc/self/task")


@contextlib.contextmanager
def beside(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Let a copy of this process do `work` while the block runs.

    No copy is made on systems other than Linux, nor if this process has more than one thread: the copy would have only
    the current one, and a lock that another held would stay locked. `work` is then done when its result is asked for,
    as it is if the system refuses another process, or if the copy ends without a result: so errors are raised here.

    Args:
        work: must neither print nor change anything outside the process; its result is pickled.

    Yields:
        A function that waits for the result and returns it.
    """
    reading, writing = os.pipe()
    copy = _forked() if _is_alone() else None
    if copy == 0:
        _do(work, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        try:
            yield lambda: work() if copy is None else _result(pipe.read(), work)
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


def _do(work: Callable[[], object], writing: int) -> None:
    """Write the result of `work` and end this process, without a word and without its cleanup."""
    try:
        content = pickle.dumps(work())
        with open(writing, "wb") as pipe:
            pipe.write(content)
    finally:
        os._exit(0)


def _result(content: bytes, work: Callable[[], T]) -> T:
    try:
        found: T = pickle.loads(content)
    except (EOFError, pickle.UnpicklingError):
        return work()
    return found
