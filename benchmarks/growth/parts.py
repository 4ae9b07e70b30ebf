"""The seconds of a measurement's parts, and the repeats of a short one."""

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
    """Return one row a repeat and part of what `measure` returns.

    Args:
        measure: gives the seconds of each part, and of `all`.
        repeats: how often at most.
        enough_s: no repeat begins once this time has been measured.
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
