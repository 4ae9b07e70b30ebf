"""Curves in compact form: their values as one array, and everything else, which many curves have in common, once."""

from __future__ import annotations

import functools
import marshal
import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

__all__ = ["Layout", "StoredCurve"]

Point = Mapping[str, Any]

_INTEGER, _FLOAT, _NONE = range(3)
_KINDS = {int: _INTEGER, float: _FLOAT, type(None): _NONE}
_EXACT = 2.0**53  # from here on a float does not hold every integer


class Layout:
    """The points of a curve without their values: the names in each, and whether a value is an integer, float or null.

    Args:
        points: the fields of each point, as (name, None), or (name, names) for a mapping.
        kinds: one for each value.
    """

    def __init__(self, points: Sequence[Sequence[tuple[str, Sequence[str] | None]]], kinds: bytes) -> None:
        self.points, self.kinds = points, kinds
        self._found: dict[tuple[str, ...], Any] = {}

    def read(self, values: Sequence[float]) -> list[dict[str, Any]]:
        """Return the points of the curve with these values."""
        typed = iter(
            [
                value if kind == _FLOAT else None if kind == _NONE else int(value)
                for kind, value in zip(self.kinds, values, strict=True)
            ]
        )
        return [
            {name: next(typed) if inner is None else {each: next(typed) for each in inner} for name, inner in point}
            for point in self.points
        ]

    @functools.cached_property
    def fields(self) -> list[dict[str, Any]]:
        """The points with the position of each value instead of it; positions of null are None."""
        places = iter([None if kind == _NONE else place for place, kind in enumerate(self.kinds)])
        return [
            {name: next(places) if inner is None else {each: next(places) for each in inner} for name, inner in point}
            for point in self.points
        ]

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the `losses` or `numbers` that occur, in order."""
        return self._once(
            ("names", kind),
            lambda: tuple(dict.fromkeys(name for point in self.fields for name in point.get(kind) or {})),
        )

    def places_of(self, kind: str, name: str) -> list[int]:
        """Return the positions of the values of one loss or number."""
        return self._once(
            (kind, name),
            lambda: [at for point in self.fields if (at := (point.get(kind) or {}).get(name)) is not None],
        )

    def places(self, along: str, kind: str, name: str) -> list[tuple[int, int]]:
        """Return the positions of `along` and of one loss or number, for each point that has both."""
        return self._once(
            (along, kind, name),
            lambda: [
                (where, at)
                for point in self.fields
                if (where := point.get(along)) is not None and (at := (point.get(kind) or {}).get(name)) is not None
            ],
        )

    def _once(self, key: tuple[str, ...], find: Callable[[], Any]) -> Any:
        if key not in self._found:
            self._found[key] = find()
        return self._found[key]


@functools.lru_cache(maxsize=4096)
def layout_of(content: bytes) -> Layout:
    """Return the layout that `marshal` encoded as these bytes, the same for the same bytes."""
    return Layout(*marshal.loads(content))


class StoredCurve(Sequence[Point]):
    """The points of a curve, decoded on each access: a tenth of the memory.

    What does not fit the arrays, such as a number given as text, is stored by `marshal` as it is.

    >>> curve = StoredCurve([{"step": 0, "losses": {}}, {"step": 5, "losses": {"d": 0.25}}])
    >>> len(curve), curve[1]["losses"]
    (2, {'d': 0.25})
    """

    __slots__ = ("_content", "_count", "layout")

    def __init__(self, points: Sequence[Point]) -> None:
        count, layout, content = packed(points)
        self._count, self._content = count, content
        self.layout: Layout | None = layout_of(layout) if layout else None

    @classmethod
    def stored(cls, count: int, layout: Layout | None, content: bytes) -> StoredCurve:
        """Return the curve that `packed` returned as these parts."""
        curve = cls.__new__(cls)
        curve._count, curve.layout, curve._content = count, layout, content
        return curve

    @property
    def values(self) -> bytes:
        """All values in the order of the layout, float64; null is NaN. Only if there is a layout."""
        return self._content

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Point: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Point]: ...
    def __getitem__(self, index: int | slice) -> Point | Sequence[Point]:
        return self._points()[index]

    def __iter__(self) -> Iterator[Point]:
        return iter(self._points())

    def _points(self) -> list[dict[str, Any]]:
        if self.layout is None:
            points: list[dict[str, Any]] = marshal.loads(self._content)
            return points
        return self.layout.read(memoryview(self._content).cast("d"))  # type: ignore[arg-type]


def packed(points: Sequence[Point]) -> tuple[int, bytes, bytes]:
    """Return the number of points, the bytes of their layout (empty if they need none), and those of their values."""
    held: Any = points
    try:
        layout, values = _split(points)
    except (AttributeError, KeyError, OverflowError, TypeError):
        return len(points), b"", marshal.dumps(held)
    return len(points), layout, values


def _split(points: Sequence[Point]) -> tuple[bytes, bytes]:
    fields, values = [], []
    for point in points:
        names: list[tuple[str, Any]] = []
        for name, value in point.items():
            if type(value) is dict:
                names.append((name, tuple(value)))
                values += value.values()
            else:
                names.append((name, None))
                values.append(value)
        fields.append(tuple(names))
    kinds = bytes([_KINDS[type(value)] for value in values])
    if _NONE in kinds:
        values = [math.nan if value is None else value for value in values]
    if any(type(value) is int and not -_EXACT < value < _EXACT for value in values):
        raise OverflowError
    return marshal.dumps((tuple(fields), kinds), 2), array("d", values).tobytes()
