"""Records as tidy tables: one row per cell, and one row per value of a curve."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import pandas as pd

from genbench.plugin.visible import visible
from genbench.records.fields import LARGEST
from genbench.records.lean import entries, entry_kinds, per_template, seed_of, shared_cell
from genbench.records.real_ratio import REAL_ABOVE_ZERO
from genbench.report.gathered import Gathered, column
from genbench.report.merging import merged, with_older
from genbench.report.quantities import HEADLINE, in_reading_order

__all__ = ["CURVE_COLUMNS", "Record", "csv", "curve_frame", "first_look", "frame", "in_order"]

Record = Mapping[str, Any]

_PLUGIN = ("distribution", "version", "origin", "source_sha256")
_DATASET = ("fingerprint", "shape", "classes", "train_count", "held_out_count", "licence")
_CELL_FIRST = ("model", "label", "role", "options", "summary")
_CELL_APART = frozenset({*_CELL_FIRST, "dataset", "plugin"})
_AT_ONCE = 2048  # records whose rows exist at the same time
_SIMPLE = frozenset({str, int, float, bool, type(None)})
CURVE_COLUMNS = ("id", "label", "dataset", "seed", "step", "items", "elapsed_s", "flops", "kind", "name", "value")


def in_order(records: Iterable[Record]) -> list[Record]:
    """Return the records sorted by dataset, role (models before controls), label, seed and id."""

    def key(record: Record) -> tuple[Any, ...]:
        cell = shared_cell(record)
        return cell["dataset"]["name"], cell["role"] != "model", cell["label"], seed_of(record), record["id"]

    return sorted(records, key=key)


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row per cell, `in_order`.

    The columns: the cell (`model`, `label`, `dataset`, `seed`, `budget`, the plugin's `plugin_version`, …); each
    number, such as `fd`, with its `fd_recipe` and, if known, the `fd_standard_error` of its evaluation; each cost with
    its unit in the name, such as `train_items_per_s_median` and `peak_resident_bytes`; the machine (`environment_…`);
    `failure_stage` and `failure_reason`. A value that a cell lacks is missing (NaN, NA or None, depending on the
    column's type). A distance that the control `real` also has, under the same recipe, is also given as a ratio to the
    mean of `real`, as `fd_ratio`.

    A cell that was measured several times is one row (`merging.merged`), plus one for each earlier run with numbers
    under recipes that the newer ones lack; such a row holds only these numbers.
    """
    ordered = [one for record in in_order(merged(records)) for one in with_older(record)]
    kinds = entry_kinds(ordered)
    numbers = in_reading_order({kind.name for kind in kinds})
    row_of = _Rows(numbers, {kind.name for kind in kinds if kind.standard_error}, _real_means(ordered))
    columns: dict[str, Gathered] = {}
    for start in range(0, len(ordered), _AT_ONCE):
        rows = [row_of(record) for record in ordered[start : start + _AT_ONCE]]
        for name in dict.fromkeys(name for names in dict.fromkeys(map(tuple, rows)) for name in names):
            columns.setdefault(name, Gathered()).add(start, [row.get(name) for row in rows])
    return pd.DataFrame({name: gathered.column(len(ordered)) for name, gathered in columns.items()})


def first_look(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with the columns that identify cells and results first: of many, pandas shows ten on the left."""
    failed = ["failure_reason"] if (table["status"] == "failed").any() else []
    wanted = ["label", "dataset", "seed", "status", *failed, *HEADLINE, "train_s", "train_items_per_s_median"]
    first = [name for name in wanted if name in table and not table[name].isna().all()]
    return table[[*first, *(name for name in table if name not in first)]]


def curve_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Return the curves in long form: one row per value, with `kind` `loss` or `number`.

    A loss is the mean over the steps since the previous row; a number is measured with the training clock stopped.
    """
    columns: dict[str, list[Any]] = {name: [] for name in CURVE_COLUMNS}
    appenders = [columns[name].append for name in CURVE_COLUMNS]
    for record in in_order(merged(records)):
        cell = record["cell"]
        whose = (record["id"], cell["label"], cell["dataset"]["name"], cell["seed"])
        for point in record["curve"]:
            where = tuple(point.get(name) for name in ("step", "items", "elapsed_s", "flops"))
            for kind, values in (("loss", point.get("losses")), ("number", point.get("numbers"))):
                for name, value in (values or {}).items():
                    for append, entry in zip(appenders, (*whose, *where, kind, name, value), strict=True):
                        append(entry)
    return pd.DataFrame({name: column(values) for name, values in columns.items()})


def csv(table: pd.DataFrame, *, header: bool = True) -> bytes:
    """Return the table as CSV, with every float at full precision and the same bytes on every machine."""
    texts = {str(name): _visible(column) for name, column in table.items() if column.dtype == object}
    return table.assign(**texts).to_csv(index=False, header=header, lineterminator="\n").encode("utf-8", "replace")


def _visible(column: pd.Series[Any]) -> list[Any]:
    # The output may go to a terminal, and some readers stop at a zero byte. Most texts occur in many rows.
    seen: dict[str, str] = {}
    return [
        (seen.get(value) or seen.setdefault(value, visible(value, keep="\n\t"))) if isinstance(value, str) else value
        for value in column
    ]


def _real_means(records: Iterable[Record]) -> dict[tuple[str, str, str], float]:
    """Return (dataset's fingerprint, distance, recipe) -> the mean of `real`, if it is above 0."""
    held: dict[tuple[str, str, str], list[float]] = {}
    for record in records:
        cell = shared_cell(record)
        if cell["model"] != "real":
            continue
        numbers = {entry.name: entry for entry in entries(record)}
        for name in REAL_ABOVE_ZERO:
            entry = numbers.get(name)
            value = _number(entry.value) if entry else None
            if entry and value is not None and abs(value) <= LARGEST:
                held.setdefault((_fingerprint(cell), name, entry.recipe), []).append(value)
    means = {place: math.fsum(values) / len(values) for place, values in held.items()}
    return {place: mean for place, mean in means.items() if mean > 0}


def _fingerprint(cell: Mapping[str, Any]) -> str:
    return str(cell["dataset"].get("fingerprint"))


class _Rows:
    """Makes the rows of records.

    Args:
        numbers: the numbers of all records, in order.
        estimated: those that have a standard error anywhere.
        real: as `_real_means` returned it.
    """

    def __init__(self, numbers: Sequence[str], estimated: Set[str], real: Mapping[tuple[str, str, str], float]) -> None:
        self._numbers, self._estimated, self._real = numbers, estimated, real
        self._distances = {distance for _, distance, _ in real}
        self._before, self._after = per_template(_before), per_template(_after)

    def __call__(self, record: Record) -> dict[str, Any]:
        """Return the row of a record."""
        failure = record.get("failure") or {}
        row = {**self._before(record), "seed": seed_of(record), "id": record["id"]}
        self._put_numbers(record, row)
        for name, value in record["cost"].items():
            if isinstance(value, Mapping):
                row |= {f"{name}_{part}": entry for part, entry in value.items()}
            else:
                row[name] = value
        row |= self._after(record)
        row |= {"started_at": record.get("started_at"), "finished_at": record.get("finished_at")}
        return row | {f"failure_{name}": failure.get(name) for name in ("stage", "reason")}

    def _put_numbers(self, record: Record, row: dict[str, Any]) -> None:
        held = {entry.name: entry for entry in entries(record)}
        for name in self._numbers:
            entry = held.get(name)
            row[name] = value = _number(entry.value) if entry else None
            row[f"{name}_recipe"] = entry.recipe if entry else None
            if name in self._estimated:
                row[f"{name}_standard_error"] = _number(entry.standard_error) if entry else None
            if name in self._distances:
                over = self._real.get((_fingerprint(shared_cell(record)), name, entry.recipe)) if entry else None
                row[f"{name}_ratio"] = None if over is None or value is None else value / over


def _before(record: Record) -> dict[str, Any]:
    cell = record["cell"]
    dataset, plugin = cell["dataset"], cell.get("plugin") or {}
    row: dict[str, Any] = {"id": record["id"], "status": record["status"]}
    row |= {name: _scalar(cell.get(name)) for name in _CELL_FIRST}
    row |= {"dataset": dataset["name"]} | {f"dataset_{name}": _scalar(dataset.get(name)) for name in _DATASET}
    row |= {name: _scalar(value) for name, value in cell.items() if name not in _CELL_APART}
    return row | {f"plugin_{name}": plugin.get(name) for name in _PLUGIN}


def _after(record: Record) -> dict[str, Any]:
    return {f"environment_{name}": _scalar(value) for name, value in record["environment"].items()}


def _number(value: Any) -> float | None:
    # An integer from JSON is still a measurement: its column must not become one of integers.
    return None if value is None else float(value)


def _scalar(value: Any) -> Any:
    if type(value) in _SIMPLE:  # most are, and checking for a mapping is slow
        return value
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping | list | tuple) else value
