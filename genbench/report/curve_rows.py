"""Writes the curves of all records to one CSV file, record by record: the bulk of a large report's output."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from genbench.machine.atomic import Replacing, replacing
from genbench.records.curve import Layout, StoredCurve
from genbench.report.merging import merged
from genbench.report.order import Record, in_order
from genbench.report.texts import float_texts, quoted

__all__ = ["CURVE_COLUMNS", "write_curves"]

CURVE_COLUMNS = ("id", "label", "dataset", "seed", "step", "items", "elapsed_s", "flops", "kind", "name", "value")

_WHERE = ("step", "items", "elapsed_s", "flops")
_LARGEST_WHOLE = 2**63  # from here on a column of integers is written as floats
_KINDS = (("loss", "losses"), ("number", "numbers"))

Curve = Sequence[Any]


def write_curves(path: Path, records: Iterable[Record], replacing: Replacing = replacing) -> None:
    """Write the same bytes as `csv(curve_frame(records))`, atomically, without building a table first.

    Args:
        replacing: provides the temporary file that becomes `path`.
    """
    ordered = in_order(merged(records))
    floats = _columns_of_floats(ordered)
    lines_of = functools.cache(lambda layout: _lines_of(layout, floats))  # for each layout, a function
    named = functools.cache(quoted)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace", newline="") as file:
        file.write(",".join(CURVE_COLUMNS) + "\n")
        for record in ordered:
            cell, curve = record["cell"], record["curve"]
            seed = (_float if "seed" in floats else _whole)(cell["seed"])
            whose = f"{quoted(record['id'])},{named(cell['label'])},{named(cell['dataset']['name'])},{seed}"
            stored = curve if isinstance(curve, StoredCurve) else StoredCurve(curve)
            if stored.layout is None:
                file.write(_lines(whose, curve, floats))
            elif len(stored):
                file.write(lines_of(stored.layout)(whose, stored.values))


def _columns_of_floats(records: Iterable[Record]) -> frozenset[str]:
    """Return the columns in which even integers are written as floats, because one value is a float or too large."""
    found: set[str] = set()
    of_layout = functools.cache(lambda layout: _float_columns(layout.read(np.zeros(len(layout.kinds)).tolist())))
    for record in records:
        curve = record["curve"]
        layout = curve.layout if isinstance(curve, StoredCurve) else None
        columns = of_layout(layout) if layout is not None else _float_columns(curve)
        found.update(columns)
        if columns is not _EMPTY and "seed" not in found and _is_float(record["cell"]["seed"]):
            found.add("seed")
    return frozenset(found)


_EMPTY: frozenset[str] = frozenset()


def _float_columns(curve: Curve) -> Iterable[str]:
    """Return the columns in which a curve has a float; `_EMPTY` itself if it has no rows."""
    rows = [(point, values) for point in curve for _, kind in _KINDS if (values := point.get(kind))]
    if not rows:
        return _EMPTY
    found = {name for point, _ in rows for name in _WHERE if _is_float(point.get(name))}
    return found | {"value" for _, values in rows for value in values.values() if _is_float(value)}


def _is_float(value: Any) -> bool:
    return type(value) is float or (value is not None and abs(value) >= _LARGEST_WHOLE)


def _lines_of(layout: Layout, floats: frozenset[str]) -> Callable[[str, bytes], str]:
    """Return a function of a record's first columns and its curve's values that returns its lines.

    A line is made of pieces: of the first columns, of texts of values, and of constants. Which ones is the same for all
    curves of a layout.
    """
    count = len(layout.kinds)
    whole: set[int] = set()  # positions of values that are written as integers
    constants: dict[str, int] = {",": count + 1, "\n": count + 2, "": count + 3}
    pieces: list[int] = []
    for point in layout.fields:
        where = [point.get(name) for name in _WHERE]
        whole.update(at for name, at in zip(_WHERE, where, strict=True) if name not in floats and at is not None)
        for kind, held in _KINDS:
            for name, at in (point.get(held) or {}).items():
                what = f",{quoted(kind)},{quoted(name)},"
                pieces.append(count)
                for place in where:
                    pieces += [constants[","], constants[""] if place is None else place]
                pieces += [constants.setdefault(what, count + 1 + len(constants)), constants[""] if at is None else at]
                pieces.append(constants["\n"])
                if "value" not in floats and at is not None:
                    whole.add(at)
    pick = itemgetter(*pieces, count, count) if pieces else None
    rest, integers = [*constants], sorted(whole)

    def lines(whose: str, content: bytes) -> str:
        if pick is None:
            return ""
        texts = float_texts(np.frombuffer(content))
        for place in integers:
            texts[place] = texts[place].removesuffix(".0")  # a layout has no integer that floats write with an exponent
        return "".join(pick([*texts, whose, *rest])[:-2])

    return lines


def _lines(whose: str, curve: Curve, floats: frozenset[str]) -> str:
    """Return the lines of a curve that has no layout."""
    written = {name: _float if name in floats else _whole for name in (*_WHERE, "value")}
    lines = []
    for point in curve:
        where = ",".join(written[name](point.get(name)) for name in _WHERE)
        for kind, held in _KINDS:
            for name, value in (point.get(held) or {}).items():
                lines.append(f"{whose},{where},{quoted(kind)},{quoted(name)},{written['value'](value)}\n")
    return "".join(lines)


def _float(value: Any) -> str:
    return "" if value is None or value != value else repr(float(value))


def _whole(value: Any) -> str:
    return "" if value is None else str(value)
