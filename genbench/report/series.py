"""Reads the curves of many records at once: one array over all seeds for each loss or number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbench.records.curve import Layout, StoredCurve
from genbench.records.fields import LARGEST, SMALLEST

__all__ = ["Points", "extremes", "names_in", "of_curves", "stacked"]

Curve = Sequence[Mapping[str, Any]]
Points = NDArray[np.float64]

_AT_ONCE = 4096  # curves whose values are joined


def names_in(curve: Curve, kind: str) -> Sequence[str]:
    """Return the `losses` or `numbers` that occur in a curve, in order, each once."""
    if isinstance(curve, StoredCurve) and curve.layout is not None:
        return curve.layout.names(kind)
    return list(dict.fromkeys(name for point in curve for name in point.get(kind) or {}))


def extremes(curves: Sequence[Curve], kind: str, name: str) -> list[float]:
    """Return the smallest and largest finite values of a loss or number; empty if there are none."""
    held, unusual = _by_layout(curves)
    found = [np.array([_number(point, kind, name) for place in unusual for point in curves[place]], dtype=np.float64)]
    found += [whole[:, places].ravel() for layout, _, whole in held if (places := layout.places_of(kind, name))]
    values = _measured(np.concatenate(found))
    values = values[np.isfinite(values)]
    return [float(values.min()), float(values.max())] if values.size else []


def of_curves(curves: Sequence[Curve], along: str, kind: str, name: str) -> list[tuple[Sequence[int], Points]]:
    """Group curves by their number of points: return their positions and points (curves, points, 2), float64.

    A point is where along the training a value was measured, and the value (`rows.measured`); points that lack one of
    them are left out, as are curves without any.
    """
    held, unusual = _by_layout(curves)
    found: list[tuple[Sequence[int], Points]] = []
    for layout, members, whole in held:
        places = layout.places(along, kind, name)
        if places:
            found.append((members, whole[:, np.array(places)]))
    for place in unusual:
        if pairs := list(_pairs(curves[place], along, kind, name)):
            found.append(([place], np.array([pairs], dtype=np.float64)))
    for _, points in found:
        points[..., 1] = _measured(points[..., 1])
    return found


def stacked(curves: Sequence[Curve], along: str, kind: str, name: str) -> tuple[Points, Points]:
    """Return positions and values of the curves that have them, (curves, points) each.

    The k-th points of all curves are grouped; what only the longer curves have is left out.
    """
    found = of_curves(curves, along, kind, name)
    length = min((points.shape[1] for _, points in found), default=0)
    ordered = np.argsort([place for places, _ in found for place in places], kind="stable")
    both = np.concatenate([points[:, :length] for _, points in found] or [np.empty((0, 0, 2))])[ordered]
    return both[:, :, 0], both[:, :, 1]


def _by_layout(curves: Sequence[Curve]) -> tuple[Iterator[tuple[Layout, list[int], Points]], list[int]]:
    """Return the curves of each layout as (layout, positions, values), and the positions of those without a layout."""
    groups: dict[Layout, list[int]] = {}
    unusual: list[int] = []
    stored = [curve if isinstance(curve, StoredCurve) else StoredCurve(curve) for curve in curves]
    for place, curve in enumerate(stored):
        (unusual if curve.layout is None else groups.setdefault(curve.layout, [])).append(place)

    def joined() -> Iterator[tuple[Layout, list[int], Points]]:
        for layout, places in groups.items():
            for start in range(0, len(places), _AT_ONCE):
                some = places[start : start + _AT_ONCE]
                whole = np.frombuffer(b"".join(stored[place].values for place in some))
                yield layout, some, whole.reshape(len(some), len(layout.kinds))

    return joined(), unusual


def _number(point: Mapping[str, Any], kind: str, name: str) -> float:
    value = (point.get(kind) or {}).get(name)
    return np.nan if value is None else _clipped(value)


def _pairs(curve: Curve, along: str, kind: str, name: str) -> Iterator[tuple[float, float]]:
    for point in curve:
        where, value = point.get(along), (point.get(kind) or {}).get(name)
        if where is not None and value is not None:
            yield float(where), _clipped(value)


def _clipped(value: float) -> float:
    return float(value) if abs(value) <= LARGEST else np.nan  # an integer may be too large for a float


def _measured(values: Points) -> Points:
    """Convert many values as `rows.measured` converts one."""
    size = np.abs(values)
    return np.where(size <= LARGEST, np.where(size < SMALLEST, 0.0, values), np.nan)
