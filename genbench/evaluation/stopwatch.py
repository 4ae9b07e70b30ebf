"""Seconds per part of a task that has many, such as the metrics of one evaluation."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Stopwatch"]


class Stopwatch:
    """Adds up the seconds of each part: called with a part's name as it begins, and with None at the end.

    Args:
        clock: seconds from an arbitrary point.
        tell: called with each part that begins.

    >>> ticks = iter((0.0, 1.5, 4.0))
    >>> watch = Stopwatch(lambda: next(ticks))
    >>> for part in ("features", "fd", None):
    ...     watch(part)
    >>> watch.seconds
    {'features': 1.5, 'fd': 2.5}
    """

    def __init__(self, clock: Callable[[], float], tell: Callable[[str], None] = lambda part: None) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._tell = tell
        self._part: str | None = None
        self._since = 0.0

    def __call__(self, part: str | None) -> None:
        now = self._clock()
        if self._part is not None:
            self.seconds[self._part] = self.seconds.get(self._part, 0.0) + now - self._since
        self._part, self._since = part, now
        if part is not None:
            self._tell(part)
