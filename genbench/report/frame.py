"""Records as tidy tables: one row per cell, and one row per value of a curve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from genbench.plugin.visible import visible
from genbench.records.lean import entry_kinds, seed_of, shared_cell
from genbench.report.columns import Columns, real_means
from genbench.report.gathered import Gathered, column
from genbench.report.merging import merged, with_older
from genbench.report.quantities import HEADLINE, in_reading_order

__all__ = ["CURVE_COLUMNS", "Record", "csv", "curve_frame", "first_look", "frame", "in_order"]

Record = Mapping[str, Any]

_AT_ONCE = 2048  # records whose rows exist at the same time
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
    columns_of = Columns(numbers, {kind.name for kind in kinds if kind.standard_error}, real_means(ordered))
    columns: dict[str, Gathered] = {}
    for start in range(0, len(ordered), _AT_ONCE):
        for name, values in columns_of(ordered[start : start + _AT_ONCE]).items():
            columns.setdefault(name, Gathered()).add(start, values)
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
