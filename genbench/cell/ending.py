"""A training that is asked to end (SIGTERM): it first writes a checkpoint if it can do so in time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

__all__ = ["Ending"]


class Ending:
    """Handles SIGTERM while a training is under way; use it as a context manager.

    A checkpoint can be written only between two windows, so a training that is not expected to get there within
    `grace_s` ends immediately: it would be killed before.

    Args:
        grace_s: seconds that the sender of the signal will wait.
        clock: seconds, monotonic.
    """

    def __init__(self, grace_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace_s = grace_s
        self._clock = clock
        self._own = os.getpid()
        self._since = clock()
        self._last_s: float | None = None  # duration of the previous window, including its evaluation
        self._before: signal.Handlers | Callable[[int, FrameType | None], object] | int | None = None
        self.asked = False

    def __enter__(self) -> Ending:
        if threading.current_thread() is threading.main_thread():  # no other may set handlers, or receives signals
            self._before = signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.asked and kind is None:  # after the last window: the stages that follow do not handle the signal
            self.end()
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def window_ended(self) -> None:
        """Note that a window has ended, and everything that belongs to it."""
        now = self._clock()
        self._last_s, self._since = now - self._since, now

    def end(self) -> None:
        """End the process as the signal would have ended it."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    def _hear(self, *_: object) -> None:
        # A process forked by a plugin has nothing to save. In the first window there is nothing to save yet.
        if os.getpid() != self._own or self._last_s is None or self._left_s(self._last_s) > self._grace_s:
            self.end()
        self.asked = True

    def _left_s(self, last_s: float) -> float:
        return last_s - (self._clock() - self._since)
