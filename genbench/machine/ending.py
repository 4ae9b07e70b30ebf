"""How a process ends together with its parent."""

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
    """Set a Linux attribute of this process; does nothing on other systems."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def end_with_parent(parent: int) -> None:
    """Have this process, just forked from `parent`, killed as soon as the parent is gone, however it ends."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the signal was requested
        os._exit(1)


def leave(code: int) -> NoReturn:
    """End a forked process: flush its output, and skip the exit handlers that its parent registered."""
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
