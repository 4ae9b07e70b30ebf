"""How a process ends with the one that started it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from typing import NoReturn

__all__ = ["end_with_parent", "leave", "prctl"]

PR_SET_PDEATHSIG = 1


def prctl(option: int, value: int) -> None:
    """Set what Linux lets a process set of itself; nothing elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def end_with_parent(parent: int) -> None:
    """Have this process, forked from `parent` just now, killed as soon as that one is gone, however it ends."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it could be asked for
        os._exit(1)


def leave(code: int) -> NoReturn:
    """End a forked process: what it has printed is out, and what its parent registered for an exit is left undone."""
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
