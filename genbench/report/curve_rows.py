"""Writes the curves of all records to one CSV file, record by record: the bulk of a large report's output."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from genbench.machine.atomic import Replacing, replacing
from genbench.plugin.visible import visible
from genbench.report.frame import CURVE_COLUMNS, Record, in_order
from genbench.report.merging import merged

__all__ = ["write_curves"]

_WHERE = ("step", "items", "elapsed_s", "flops")
_LARGEST_WHOLE = 2**63  # from here on a column of integers is written as floats


def write_curves(path: Path, records: Iterable[Record], replacing: Replacing = replacing) -> None:
    """Write the same bytes as `csv(curve_frame(records))`, atomically, without building a table first.

    Args:
        replacing: provides the temporary file that becomes `path`.
    """
    ordered = in_order(merged(records))
    floats = _columns_of_floats(ordered)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace", newline="") as file:
        file.write(",".join(CURVE_COLUMNS) + "\n")
        named: dict[tuple[str, str], str] = {}
        for record in ordered:
            file.writelines(_lines(record, floats, named))


def _columns_of_floats(records: Iterable[Record]) -> frozenset[str]:
    """Return the columns in which even integers are written as floats, because one value is a float or too large."""
    found: set[str] = set()
    for record in records:
        for point in record["curve"]:
            held = [values for values in (point.get("losses"), point.get("numbers")) if values]
            if not held:
                continue
            found.update(name for name in _WHERE if name not in found and _is_float(point.get(name)))
            if "value" not in found and any(_is_float(value) for values in held for value in values.values()):
                found.add("value")
            if "seed" not in found and _is_float(record["cell"]["seed"]):
                found.add("seed")
    return frozenset(found)


def _is_float(value: Any) -> bool:
    return type(value) is float or (value is not None and abs(value) >= _LARGEST_WHOLE)


def _lines(record: Record, floats: frozenset[str], named: dict[tuple[str, str], str]) -> Iterator[str]:
    cell = record["cell"]
    written = {name: _float if name in floats else _whole for name in (*_WHERE, "seed", "value")}
    whose = _quoted([record["id"], cell["label"], cell["dataset"]["name"]]) + f",{written['seed'](cell['seed'])}"
    places, value_written = [(name, written[name]) for name in _WHERE], written["value"]
    for point in record["curve"]:
        held = [
            (kind, values)
            for kind, values in (("loss", point.get("losses")), ("number", point.get("numbers")))
            if values
        ]
        if not held:
            continue
        where = ",".join([whose, *[write(point.get(name)) for name, write in places]])
        for kind, values in held:
            for name, value in values.items():
                what = named.get((kind, name)) or named.setdefault((kind, name), _quoted([kind, name]))
                yield f"{where},{what},{value_written(value)}\n"


def _float(value: Any) -> str:
    return "" if value is None or value != value else repr(float(value))


def _whole(value: Any) -> str:
    return "" if value is None else str(value)


def _quoted(values: Sequence[Any]) -> str:
    line = io.StringIO()
    shown = [visible(value, keep="\n\t") if isinstance(value, str) else value for value in values]
    csv.writer(line, lineterminator="").writerow(shown)
    return line.getvalue()
