"""Columns of a table that are filled and read part by part, without an object for each value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Gathered"]

_FLOATS = frozenset({float, type(None)})
_BEYOND = 2**63  # what int64 cannot hold


class Gathered:
    """A column that is filled in parts, from its beginning on; values that no part provides are missing."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, Any]] = []
        self._types: set[type] = set()
        self._fits = True  # whether int64 holds all integers

    def add(self, start: int, values: Sequence[Any]) -> None:
        """Add the values from position `start` on; None is missing."""
        kinds = set(map(type, values))
        if kinds == {type(None)}:
            return
        self._types |= kinds - {type(None)}
        self._fits = self._fits and not any(type(value) is int and abs(value) >= _BEYOND for value in values)
        if kinds <= _FLOATS:
            floats = np.array(values, dtype=np.float64)  # None becomes NaN
            if np.isnan(floats).sum() == sum(value is None for value in values):  # and can be told from it again
                self._parts.append((start, floats))
                return
        elif kinds == {int} and self._fits:
            self._parts.append((start, np.array(values, dtype=np.int64)))
            return
        self._parts.append((start, values))

    @property
    def is_float(self) -> bool:
        """Whether the column is one of floats, to which integers are converted if some are not, or are beyond int64."""
        return bool(self._types) and self._types <= {int, float} and not self.is_whole

    @property
    def is_whole(self) -> bool:
        """Whether the column is one of integers of 64 bits."""
        return self._types == {int} and self._fits

    def values(self, start: int, stop: int) -> Any:
        """Return the values from `start` to `stop`: float64 with NaN if `is_float`, otherwise a list with None."""
        made: Any = np.full(stop - start, np.nan) if self.is_float else [None] * (stop - start)
        for begin, part in self._parts:
            first, last = max(start, begin), min(stop, begin + len(part))
            if first < last:
                made[first - start : last - start] = self._of(part[first - begin : last - begin])
        return made

    def _of(self, part: Any) -> Any:
        if self.is_float:
            return part if isinstance(part, np.ndarray) else [np.nan if one is None else float(one) for one in part]
        return [None if one != one else one for one in part.tolist()] if isinstance(part, np.ndarray) else part
