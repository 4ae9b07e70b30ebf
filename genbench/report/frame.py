"""Records as tidy tables: one row per cell, and one row per value of a curve."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import pandas as pd

from genbench.plugin.visible import visible
from genbench.records.fields import LARGEST
from genbench.records.real_ratio import REAL_ABOVE_ZERO
from genbench.report.merging import merged, with_older
from genbench.report.quantities import HEADLINE, in_reading_order

__all__ = ["CURVE_COLUMNS", "Record", "csv", "curve_frame", "first_look", "frame", "in_order"]

Record = Mapping[str, Any]

_PLUGIN = ("distribution", "version", "origin", "source_sha256")
_DATASET = ("fingerprint", "shape", "classes", "train_count", "held_out_count", "licence")
_CELL_FIRST = ("model", "label", "role", "options", "summary")
_CELL_APART = frozenset({*_CELL_FIRST, "dataset", "plugin"})
_SIMPLE = frozenset({str, int, float, bool, type(None)})
CURVE_COLUMNS = ("id", "label", "dataset", "seed", "step", "items", "elapsed_s", "flops", "kind", "name", "value")


def in_order(records: Iterable[Record]) -> list[Record]:
    """Return the records sorted by dataset, role (models before controls), label, seed and id."""

    def key(record: Record) -> tuple[Any, ...]:
        cell = record["cell"]
        return cell["dataset"]["name"], cell["role"] != "model", cell["label"], cell["seed"], record["id"]

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
    numbers = in_reading_order({name for record in ordered for name in record["numbers"]})
    held = [(name, number) for record in ordered for name, number in record["numbers"].items()]
    estimated = {name for name, number in held if number.get("standard_error") is not None}
    real = _real_means(ordered)
    distances = {distance for _, distance, _ in real}
    rows = [_row(record, numbers, estimated, distances, real) for record in ordered]
    columns = dict.fromkeys(name for row in rows for name in row)
    return pd.DataFrame({name: _column([row.get(name) for row in rows]) for name in columns})


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
    return pd.DataFrame({name: _column(values) for name, values in columns.items()})


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
        if record["cell"]["model"] != "real":
            continue
        for name in REAL_ABOVE_ZERO:
            number = record["numbers"].get(name) or {}
            value = _number(number.get("value"))
            if value is not None and abs(value) <= LARGEST:
                held.setdefault(_distance(record, name), []).append(value)
    means = {place: math.fsum(values) / len(values) for place, values in held.items()}
    return {place: mean for place, mean in means.items() if mean > 0}


def _distance(record: Record, name: str) -> tuple[str, str, str]:
    return str(record["cell"]["dataset"].get("fingerprint")), name, record["numbers"][name]["recipe"]


def _row(
    record: Record,
    numbers: Sequence[str],
    estimated: Set[str],
    distances: Set[str],
    real: Mapping[tuple[str, str, str], float],
) -> dict[str, Any]:
    cell = record["cell"]
    dataset, plugin, failure = cell["dataset"], cell.get("plugin") or {}, record.get("failure") or {}
    row: dict[str, Any] = {"id": record["id"], "status": record["status"]}
    row |= {name: _scalar(cell.get(name)) for name in _CELL_FIRST}
    row |= {"dataset": dataset["name"]} | {f"dataset_{name}": _scalar(dataset.get(name)) for name in _DATASET}
    row |= {name: _scalar(value) for name, value in cell.items() if name not in _CELL_APART}
    row |= {f"plugin_{name}": plugin.get(name) for name in _PLUGIN}
    for name in numbers:
        number = record["numbers"].get(name) or {}
        row |= {name: _number(number.get("value")), f"{name}_recipe": number.get("recipe")}
        if name in estimated:
            row[f"{name}_standard_error"] = _number(number.get("standard_error"))
        if name in distances:
            over, value = real.get(_distance(record, name)) if number else None, row[name]
            row[f"{name}_ratio"] = None if over is None or value is None else value / over
    for name, value in record["cost"].items():
        row |= (
            {f"{name}_{part}": entry for part, entry in value.items()} if isinstance(value, Mapping) else {name: value}
        )
    row |= {f"environment_{name}": _scalar(value) for name, value in record["environment"].items()}
    row |= {"started_at": record.get("started_at"), "finished_at": record.get("finished_at")}
    return row | {f"failure_{name}": failure.get(name) for name in ("stage", "reason")}


def _number(value: Any) -> float | None:
    # An integer from JSON is still a measurement: its column must not become one of integers.
    return None if value is None else float(value)


def _scalar(value: Any) -> Any:
    if type(value) in _SIMPLE:  # most are, and checking for a mapping is slow
        return value
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping | list | tuple) else value


def _column(values: Sequence[Any]) -> Any:
    # pandas would turn integers with missing values into floats: 3000 steps into 3000.0.
    every = set(map(type, values))
    kinds = every - {type(None)}
    if kinds == {int} and all(abs(value) < 2**63 for value in values if value is not None):
        return pd.array(list(values), dtype="Int64" if kinds < every else "int64")
    if kinds and kinds <= {int, float}:
        return pd.array([float("nan") if value is None else float(value) for value in values], dtype="float64")
    return pd.Series(list(values), dtype=object)
