"""Records as tidy tables: one row per cell, and one row per value of a curve."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from genbench.report.columns import result_columns
from genbench.report.curve_rows import CURVE_COLUMNS
from genbench.report.gathered import Gathered
from genbench.report.merging import merged
from genbench.report.order import Record, in_order
from genbench.report.quantities import HEADLINE
from genbench.report.stored import stored_records
from genbench.report.texts import field_text

__all__ = ["csv", "curve_frame", "first_look", "frame", "load_records"]


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
    columns, count = result_columns(records)
    return pd.DataFrame({name: _series(gathered, count) for name, gathered in columns.items()})


def _series(gathered: Gathered, count: int) -> Any:
    values = gathered.values(0, count)
    # pandas would turn integers with missing values into floats: 3000 steps into 3000.0.
    if gathered.is_whole:
        return pd.array(values, dtype="Int64" if None in values else "int64")
    return values if gathered.is_float else pd.Series(values, dtype=object)


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
    gathered = {name: Gathered() for name in CURVE_COLUMNS}
    for name, values in columns.items():
        gathered[name].add(0, values)
    return pd.DataFrame({name: _series(held, len(columns["id"])) for name, held in gathered.items()})


def load_records(directory: str | Path) -> pd.DataFrame:
    """Return the records of a benchmark's folder as a tidy table: one row per cell, one column per number, cost or
    setting.

    The most relevant columns come first (`first_look`); the others keep the order of `results.csv`.

    Raises:
        InputError: the folder does not exist, or holds no records.
        RecordError: a record is truncated or was edited.

    Example::

        table = genbench.load_records("reports/digits")
        table.groupby("label")["fd"].mean()
    """
    return first_look(frame([record.data for record in stored_records(Path(directory))]))


def csv(table: pd.DataFrame, *, header: bool = True) -> bytes:
    """Return the table as CSV, with every float at full precision and the same bytes on every machine."""
    texts = {str(name): _shown(column) for name, column in table.items() if column.dtype == object}
    return (
        table.assign(**texts)
        .rename(columns=field_text)
        .to_csv(index=False, header=header, lineterminator="\n")
        .encode("utf-8", "replace")
    )


def _shown(column: pd.Series[Any]) -> list[Any]:
    # Most texts occur in many rows.
    seen: dict[str, str] = {}
    return [
        (seen.get(value) or seen.setdefault(value, field_text(value))) if isinstance(value, str) else value
        for value in column
    ]
