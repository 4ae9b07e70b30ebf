"""Columns of a table that are filled part by part, without an object for each value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Gathered", "column"]

_FLOATS = frozenset({float, type(None)})


def column(values: Sequence[Any]) -> Any:
    """Return values as a column: of integers or floats, with missing values, or of objects."""
    # pandas would turn integers with missing values into floats: 3000 steps into 3000.0.
    every = set(map(type, values))
    kinds = every - {type(None)}
    if kinds == {int} and all(abs(value) < 2**63 for value in values if value is not None):
        return pd.array(list(values), dtype="Int64" if kinds < every else "int64")
    if kinds and kinds <= {int, float}:
        return pd.array([float("nan") if value is None else float(value) for value in values], dtype="float64")
    return pd.Series(list(values), dtype=object)


class Gathered:
    """A column that is filled in parts; values that no part provides are None."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, Any]] = []

    def add(self, start: int, values: Sequence[Any]) -> None:
        """Add the values from position `start` on."""
        kinds = set(map(type, values))
        if kinds == {type(None)}:
            return
        if kinds <= _FLOATS:
            floats = np.array(values, dtype=np.float64)  # None becomes NaN
            if np.isnan(floats).sum() == sum(value is None for value in values):  # and can be told from it again
                self._parts.append((start, floats))
                return
        elif kinds == {int} and max(map(abs, values)) < 2**63:
            self._parts.append((start, np.array(values, dtype=np.int64)))
            return
        self._parts.append((start, values))

    def column(self, count: int) -> Any:
        """Return the column, which has `count` values."""
        if self._parts and all(isinstance(part, np.ndarray) and part.dtype == np.float64 for _, part in self._parts):
            floats = np.full(count, np.nan)
            for start, part in self._parts:
                floats[start : start + len(part)] = part
            return floats
        values: list[Any] = [None] * count
        for start, part in self._parts:
            values[start : start + len(part)] = _objects(part)
        return column(values)


def _objects(part: Any) -> Sequence[Any]:
    if not isinstance(part, np.ndarray):
        return part  # type: ignore[no-any-return]
    return [None if value != value else value for value in part.tolist()]
