"""Turns records into columns of a table; consecutive records that differ only in values and seeds are read together."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from genbench.records.fields import LARGEST
from genbench.records.lean import LeanRecord, entries, entry_kinds, per_template, seed_of, shared_cell
from genbench.records.real_ratio import REAL_ABOVE_ZERO
from genbench.report.gathered import Gathered
from genbench.report.merging import merged, with_older
from genbench.report.order import Record, in_order
from genbench.report.quantities import in_reading_order

__all__ = ["numbers_of", "result_columns", "shape"]

_Column = tuple[str, list[Any]]

_PLUGIN = ("distribution", "version", "origin", "source_sha256")
_DATASET = ("fingerprint", "shape", "classes", "train_count", "held_out_count", "licence")
_CELL_FIRST = ("model", "label", "role", "options", "summary")
_CELL_APART = frozenset({*_CELL_FIRST, "dataset", "plugin"})
_AT_ONCE = 2048  # records whose values exist as objects at the same time
_SIMPLE = frozenset({str, int, float, bool, type(None)})


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


def result_columns(records: Iterable[Record]) -> tuple[dict[str, Gathered], int]:
    """Return the columns of `frame.frame`, and their number of values."""
    ordered = [one for record in in_order(merged(records)) for one in with_older(record)]
    kinds = entry_kinds(ordered)
    numbers = in_reading_order({kind.name for kind in kinds})
    columns_of = _Columns(numbers, {kind.name for kind in kinds if kind.standard_error}, _real_means(ordered))
    columns: dict[str, Gathered] = {}
    for start in range(0, len(ordered), _AT_ONCE):
        for name, values in columns_of(ordered[start : start + _AT_ONCE]).items():
            columns.setdefault(name, Gathered()).add(start, values)
    return columns, len(ordered)


class _Columns:
    """Makes the columns of consecutive records.

    Args:
        numbers: the numbers of all records, in order.
        estimated: those that have a standard error anywhere.
        real: as `_real_means` returned it.
    """

    def __init__(self, numbers: Sequence[str], estimated: Set[str], real: Mapping[tuple[str, str, str], float]) -> None:
        self._numbers, self._estimated, self._real = numbers, estimated, real
        self._distances = {distance for _, distance, _ in real}
        self._before, self._after = per_template(_before), per_template(_after)

    def __call__(self, records: Sequence[Record]) -> dict[str, list[Any]]:
        """Return the columns of these records; each begins where the first row that has it does."""
        columns: dict[str, list[Any]] = {}
        place = 0
        costs = [(record, _flat(record["cost"])) for record in records]
        for _, group in itertools.groupby(costs, key=_alike):
            alike, flat = zip(*group, strict=True)
            until = place + len(alike)
            for name, values in self._of_group(alike, flat):
                if name not in columns:
                    columns[name] = [None] * len(records)
                columns[name][place:until] = values
            place = until
        return columns

    def _of_group(self, records: Sequence[Record], costs: Sequence[Mapping[str, Any]]) -> Iterator[_Column]:
        """Yield the columns of records that differ only in seeds, values and times."""
        first, count = records[0], len(records)
        for name, value in self._before(first).items():
            yield name, [value] * count
        yield "seed", [seed_of(record) for record in records]
        yield "id", [record["id"] for record in records]
        yield from self._of_numbers(records)
        for name in costs[0]:
            yield name, [cost[name] for cost in costs]
        for name, value in self._after(first).items():
            yield name, [value] * count
        for name in ("started_at", "finished_at"):
            yield name, [record.get(name) for record in records]
        failures = [record.get("failure") or {} for record in records]
        for name in ("stage", "reason"):
            yield f"failure_{name}", [failure.get(name) for failure in failures]

    def _of_numbers(self, records: Sequence[Record]) -> Iterator[_Column]:
        held, nothing = numbers_of(records), [None] * len(records)
        fingerprint = _fingerprint(shared_cell(records[0]))
        for name in self._numbers:
            recipe, values, errors = held.get(name, (None, nothing, nothing))
            values = list(map(_number, values))
            yield name, values
            yield f"{name}_recipe", [recipe] * len(records)
            if name in self._estimated:
                yield f"{name}_standard_error", list(map(_number, errors))
            if name in self._distances:
                over = self._real.get((fingerprint, name, recipe or ""))
                yield f"{name}_ratio", [None if over is None or one is None else one / over for one in values]


def _alike(held: tuple[Record, Mapping[str, Any]]) -> tuple[Any, ...]:
    """Return a key that is the same for records whose rows differ only in seeds, values and times."""
    record, cost = held
    return (shape(record), *cost)


def shape(record: Record) -> object:
    """Return a key that is the same for records whose numbers differ only in values, as long as these records exist."""
    template = record.template if isinstance(record, LeanRecord) else None
    return id(record) if template is None or template.numbers is None else template


def numbers_of(records: Sequence[Record]) -> dict[str, tuple[str, list[Any], list[Any]]]:
    """Return name -> recipe, values and standard errors, null as None, of records of one `shape`."""
    lean = [record for record in records if isinstance(record, LeanRecord)]
    layout = lean[0].template.numbers if lean else None
    if layout is None:
        return {one.name: (one.recipe, [one.value], [one.standard_error]) for one in entries(records[0])}
    columns = [*map(list, zip(*(record.floats.tolist() for record in lean), strict=True))]
    columns.append([None] * len(records))
    return {
        name: (recipe, columns[-1 if value is None else value], columns[-1 if error is None else error])
        for name, recipe, value, error in layout
    }


def _flat(cost: Mapping[str, Any]) -> dict[str, Any]:
    """Return costs by name; the parts of one as `train_items_per_s_median`."""
    found: dict[str, Any] = {}
    for name, value in cost.items():
        if isinstance(value, Mapping):
            found |= {f"{name}_{part}": entry for part, entry in value.items()}
        else:
            found[name] = value
    return found


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
