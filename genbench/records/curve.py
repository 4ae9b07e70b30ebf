"""Curves in compact form: each has one array of values; their layout, which many curves share, is stored once."""

from __future__ import annotations

import functools
import marshal
import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

from genbench.records.fields import LARGEST, SMALLEST

__all__ = ["Layout", "StoredCurve", "layout_of", "packed"]

Point = Mapping[str, Any]
T = TypeVar("T")

_INTEGER, _FLOAT, _NONE = range(3)
_KINDS = {int: _INTEGER, float: _FLOAT, type(None): _NONE}
_EXACT = 2.0**53  # from here on a float does not hold every integer
_AMOUNTS = frozenset({"step", "items", "elapsed_s", "flops"})
_VALUES = frozenset({"losses", "numbers"})


class Layout:
    """The points of a curve without their values, which are stored field by field.

    Args:
        count: the number of points.
        columns: the fields of every point, each with the names in it at each point; None if it is a plain value.
        kinds: whether each value is an integer, a float or null.
    """

    def __init__(self, count: int, columns: Sequence[tuple[str, Any]], kinds: bytes) -> None:
        self.count, self.columns, self.kinds = count, columns, kinds
        self._found: dict[tuple[str, ...], Any] = {}

    def read(self, values: Sequence[float]) -> list[dict[str, Any]]:
        """Return the points of the curve with these values."""
        return self._points(
            [
                value if kind == _FLOAT else None if kind == _NONE else int(value)
                for kind, value in zip(self.kinds, values, strict=True)
            ]
        )

    @functools.cached_property
    def fields(self) -> list[dict[str, Any]]:
        """The points with the position of each value instead of it; positions of null are None."""
        return self._points([None if kind == _NONE else place for place, kind in enumerate(self.kinds)])

    def _points(self, values: Sequence[Any]) -> list[dict[str, Any]]:
        points: list[dict[str, Any]] = [{} for _ in range(self.count)]
        following = iter(values)
        for field, names in self.columns:
            for place, point in enumerate(points):
                point[field] = next(following) if names is None else {name: next(following) for name in names[place]}
        return points

    def is_valid(self, values: Sequence[float]) -> bool:
        """Return whether the curve with these values is as genbench writes them, and so without fault (`fields.fault`).

        A loss or another number is never at fault here: what is neither a number nor null has no layout.
        """
        amounts = self._once(("amounts",), self._amounts)
        return amounts is not None and all(
            SMALLEST <= value <= LARGEST or value == 0 for value in map(values.__getitem__, amounts)
        )

    def _amounts(self) -> list[int] | None:
        """Return the positions of counts and times; None if a field is another than those of genbench's points."""
        found: list[int] = []
        for field, names in self.columns:
            if field not in (_AMOUNTS if names is None else _VALUES):
                return None
        for point in self.fields:
            found += [at for field, at in point.items() if field in _AMOUNTS and at is not None]
        return found

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

    def _once(self, key: tuple[str, ...], find: Callable[[], T]) -> T:
        if key not in self._found:
            self._found[key] = find()
        found: T = self._found[key]
        return found


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
        return self.layout.read(memoryview(self._content).cast("d"))


def packed(points: Sequence[Point]) -> tuple[int, bytes, bytes]:
    """Return the number of points, the bytes of their layout (empty if they need none), and those of their values."""
    held: Any = points
    try:
        layout, values = _split(points)
    except (AttributeError, KeyError, OverflowError, TypeError):
        return len(points), b"", marshal.dumps(held)
    return len(points), layout, values


def _split(points: Sequence[Point]) -> tuple[bytes, bytes]:
    fields = tuple(points[0]) if points else ()
    if [*map(tuple, points)] != [fields] * len(points):
        raise TypeError
    columns: list[tuple[str, Any]] = []
    values: list[Any] = []
    kinds = b""
    for field in fields:
        column = [point[field] for point in points]
        if set(map(type, column)) == {dict}:
            columns.append((field, tuple(map(tuple, column))))
            column = [value for held in column for value in held.values()]
        else:
            columns.append((field, None))
        kinds += bytes(map(_KINDS.__getitem__, map(type, column)))
        values += column
    if _NONE in kinds:
        values = [math.nan if value is None else value for value in values]
    content = array("d", values)
    if _INTEGER in kinds and max(map(abs, content)) >= _EXACT and _has_large(values):
        raise OverflowError
    return marshal.dumps((len(points), tuple(columns), kinds), 2), content.tobytes()


def _has_large(values: Sequence[Any]) -> bool:
    return any(type(value) is int and abs(value) >= _EXACT for value in values)
