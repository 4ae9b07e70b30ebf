"""The seconds of a measurement's parts, and the repeats of a short measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Parts", "repeated"]


class Parts(dict[str, float]):
    """Part -> its seconds so far."""

    @contextmanager
    def clocked(self, part: str) -> Iterator[None]:
        """Add the seconds of the block to a part."""
        begin = time.perf_counter()
        yield
        self[part] = self.get(part, 0.0) + time.perf_counter() - begin


def repeated(measure: Callable[[], dict[str, float]], repeats: int, enough_s: float) -> list[dict[str, Any]]:
    """Return one row per repeat and part of the result of `measure`.

    Args:
        measure: returns the seconds of each part, and of `all`.
        repeats: maximum number of repeats.
        enough_s: no repeat begins after this much time has been measured.
    """
    rows: list[dict[str, Any]] = []
    spent = 0.0
    for repeat in range(repeats):
        parts = measure()
        rows += [{"repeat": repeat, "part": part, "seconds": seconds} for part, seconds in parts.items()]
        spent += parts["all"]
        if spent > enough_s:
            break
    return rows
