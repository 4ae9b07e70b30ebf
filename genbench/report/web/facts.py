"""The data for the page's scripts: each section's numbers by seed, with recipes and curves, as JSON in the page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from genbench.plugin.visible import visible
from genbench.records.intervals import quantile
from genbench.report.curves import main_values
from genbench.report.drawing import Style, scale
from genbench.report.escape import one_line
from genbench.report.machines import Machine, ran
from genbench.report.merging import with_older
from genbench.report.quantities import in_reading_order, quantity
from genbench.report.rows import Column, Row, measured
from genbench.report.sections import Section
from genbench.report.series import names_in

__all__ = ["MOST_ROWS", "MOST_SEEDS", "facts", "rounded", "script_safe"]

MOST_ROWS = 1000
"""Rows per section whose numbers can be opened one by one: a page with more would take hundreds of megabytes."""

MOST_SEEDS = 20  # per row, from the first
_MOST_POINTS = 200_000  # of a section's curves

_WHERE = ("step", "items", "elapsed_s", "flops")
_DIGITS = 6


def facts(made: Sequence[Section], colours: Mapping[str, Style], known: Sequence[Machine]) -> dict[str, Any]:
    """Return the sections as plain values.

    Args:
        made: the sections in page order.
        colours: model -> its style in the figures.
        known: the machines of the records.
    """
    seeds = min(MOST_SEEDS, max((len(row.records) for section in made for row in section.rows), default=0))
    return {
        "sections": [_section(section, colours, known) for section in made],
        # The 95% interval of a mean over n values extends t[n] standard errors to each side.
        "t": [None, None, *(rounded(quantile(n - 1)) for n in range(2, seeds + 1))],
    }


def script_safe(value: Any) -> str:
    """Return JSON that cannot close its script element: it contains no `<` and only ASCII."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True).replace("<", "\\u003c")


def _section(section: Section, colours: Mapping[str, Style], known: Sequence[Machine]) -> dict[str, Any]:
    room = _Room(_MOST_POINTS)
    used = {recipe for _, recipe in section.columns}
    one_machine = len(ran(known, (record for row in section.models for record in row.records))) < 2
    return {
        "name": one_line(section.name),
        "noun": section.noun,
        "main": section.main[0] if section.main else None,
        "columns": [_column(column) for column in section.columns],
        "recipes": {name: _recipe(section.recipe(name)) for name in sorted(used)},
        # Seconds of several machines are not compared.
        "where": [name for name in _WHERE if one_machine or name != "elapsed_s"],
        "numbers": _numbers(section),
        "log": scale(main_values(section)) == "log",  # for the main number, as in every figure of `report.md`
        "rows": [_row(row, section.columns, colours.get(row.name), room) for row in section.rows[:MOST_ROWS]],
    }


def _column(column: Column) -> dict[str, Any]:
    known = quantity(column[0])
    return {"name": one_line(column[0]), "axis": one_line(known.axis), "recipe": column[1]}


def _numbers(section: Section) -> dict[str, str]:
    """Return the numbers that have curves, with their axis labels; the main one first."""
    names = {name for row in section.models for record in row.records for name in names_in(record["curve"], "numbers")}
    main = section.main[0] if section.main else None
    ordered = sorted(in_reading_order(names), key=lambda name: name != main)
    return {one_line(name): one_line(quantity(name).axis) for name in ordered}


def _recipe(fields: Mapping[str, Any]) -> dict[str, str]:
    return {
        one_line(name): one_line(value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str))
        for name, value in sorted(fields.items())
    }


class _Room:
    """The number of curve points that a section still has room for."""

    def __init__(self, points: int) -> None:
        self._left = points

    def takes(self, points: int) -> bool:
        """Reserve room for a curve with this many points; return whether it fits."""
        self._left -= points
        return self._left >= 0


def _row(row: Row, columns: Sequence[Column], style: Style | None, room: _Room) -> dict[str, Any]:
    return {
        "name": one_line(row.name),
        "model": row.is_model,
        "colour": style[0] if style and row.is_model else None,
        "of": len(row.records),
        "seeds": [_seed(record, columns, room) for record in row.records[:MOST_SEEDS]],
    }


def _seed(record: Mapping[str, Any], columns: Sequence[Column], room: _Room) -> dict[str, Any]:
    held = {(name, number["recipe"]): number for one in with_older(record) for name, number in one["numbers"].items()}
    numbers = [held.get(column) for column in columns]
    return {
        "seed": record["cell"]["seed"],
        "id": visible(str(record["id"])),
        "values": [number and rounded(measured(number["value"])) for number in numbers],
        "errors": [number and rounded(measured(number.get("standard_error"))) for number in numbers],
        "curve": _curve(record["curve"]) if room.takes(len(record["curve"])) else None,
    }


def _curve(points: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the positions of a curve's points, and each loss and number as point indices and values."""
    where: dict[str, list[float | None]] = {name: [] for name in _WHERE}
    found: dict[str, dict[str, tuple[list[int], list[float | None]]]] = {"numbers": {}, "losses": {}}
    place = -1
    for place, point in enumerate(points):
        for name, held in where.items():
            given = point.get(name)
            held.append(None if given is None else rounded(measured(given)))
        for kind, series in found.items():
            for name, value in (point.get(kind) or {}).items():
                places, values = series.setdefault(name, ([], []))
                places.append(place)
                values.append(None if value is None else rounded(measured(value)))
    shown = {kind: {one_line(name): held for name, held in series.items()} for kind, series in found.items()}
    return {**where, **shown} if place >= 0 else None


def rounded(value: float) -> float | int | None:
    """Return a number with the digits that a reader can use, in the shortest form for JSON; None for NaN."""
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{_DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded
