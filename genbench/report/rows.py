"""Groups records into table rows: the training seeds of cells that are equal in everything else."""

from __future__ import annotations

import functools
import itertools
import json
import marshal
import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genbench.records.fields import LARGEST, SMALLEST
from genbench.records.lean import per_template, seed_of
from genbench.records.statistics import Summary, summarise
from genbench.report.columns import numbers_of, shape
from genbench.report.merging import with_older
from genbench.report.order import Record

__all__ = ["Column", "Row", "measured", "names", "rows"]

Column = tuple[str, str]
"""A metric's name and the id of its recipe: the content of a table column."""

# The row's table already states these, or they cannot change a number.
_NOT_IDENTITY = frozenset({"seed", "summary", "dataset", "budget", "role", "metrics"})
_OF_PLUGIN = ("distribution", "version", "source_sha256", "also_read")


@dataclass
class _Numbers:
    """One column of a row: the seeds that have it, and their values and standard errors."""

    seeds: list[int] = field(default_factory=list)
    values: array[float] = field(default_factory=lambda: array("d"))
    errors: array[float] = field(default_factory=lambda: array("d"))


@dataclass(frozen=True)
class Row:
    """The finished records of one cell over its training seeds, in seed order, and the records without numbers.

    `name` is the cell's label; if a table holds two cells with one label, it also says in what they differ.
    """

    name: str
    records: tuple[Record, ...]
    failed: tuple[Record, ...]  # or not applicable

    @property
    def cell(self) -> Mapping[str, Any]:
        """The first record's cell: all its fields except the seed are common to all records."""
        cell: Mapping[str, Any] = (self.records or self.failed)[0]["cell"]
        return cell

    @property
    def lost(self) -> int:
        """The number of seeds that have only failed records."""
        failed = {seed_of(record) for record in self.failed if record["status"] == "failed"}
        return len(failed - set(map(seed_of, self.records))) if failed else 0

    @property
    def unsuitable(self) -> str | None:
        """Why the model does not support the data, if it says so and no seed was run."""
        reasons = (record.get("unsuitable") for record in (*self.records, *self.failed))
        return (self.records or self.failed)[0].get("unsuitable") if all(reasons) else None

    @property
    def is_model(self) -> bool:
        """Whether the row is a competing model; a control is not."""
        return bool(self.cell["role"] == "model")

    @property
    def settings(self) -> dict[str, Any]:
        """What, besides the training seed, dataset and budget, distinguishes this row's cells from others."""
        return _fields(self.cell)

    def values(self, column: Column) -> dict[int, float]:
        """Return training seed -> number, for this recipe only; NaN if it is not a number."""
        held = self._numbers.get(column, _Numbers())
        return dict(zip(held.seeds, held.values, strict=True))

    @functools.cached_property
    def _numbers(self) -> dict[Column, _Numbers]:
        """All numbers, read in one pass over the records."""
        found: dict[Column, _Numbers] = {}
        for _, group in itertools.groupby(self.records, key=shape):
            records = list(group)
            seeds = [seed_of(record) for record in records]
            # Records with older ones have a shape of their own, and no number twice under one recipe.
            for same in (records, *([one] for one in with_older(records[0])[1:])):
                for name, (recipe, values, errors) in numbers_of(same).items():
                    column = name, recipe
                    held = found.get(column) or found.setdefault(column, _Numbers())
                    held.seeds += seeds
                    held.values.extend(map(measured, values))
                    held.errors.extend(map(measured, errors))
        return found

    @functools.cached_property
    def _summaries(self) -> dict[Column, Summary]:
        return {}

    def summary(self, column: Column) -> Summary:
        """Return mean and interval over seeds."""
        if column not in self._summaries:
            self._summaries[column] = summarise(self._numbers.get(column, _Numbers()).values)
        return self._summaries[column]

    def standard_error(self, column: Column) -> float | None:
        """Return the standard error of one evaluation of this number: the root mean square over the seeds that have it.

        It says nothing about training: the spread between seeds includes both.
        """
        errors = [error for error in self._numbers.get(column, _Numbers()).errors if not math.isnan(error)]
        return math.sqrt(sum(error**2 for error in errors) / len(errors)) if errors else None

    def cost(self, read: Callable[[Mapping[str, Any]], float | None]) -> Summary:
        """Return mean and interval, over the seeds that have it, of what `read` takes from a record's cost."""
        return summarise(value for record in self.records if (value := read(record["cost"])) is not None)


def rows(finished: Iterable[Record], failed: Iterable[Record], *, admit_failed: bool) -> list[Row]:
    """Return the rows, in the order of their first records.

    Args:
        finished: records of one table.
        failed: records that may belong to the same cells.
        admit_failed: whether a cell without any finished seed also gets a row.
    """
    identity_of = per_template(lambda record: _identity(record["cell"]))
    seeds: dict[str, dict[int, Record]] = {}
    losses: dict[str, list[Record]] = {}
    for record in finished:
        kept = seeds.setdefault(identity_of(record), {})
        seed = seed_of(record)
        known = kept.get(seed)
        # Two records of one seed that agree in everything that can change a number: the later run counts.
        if known is None or str(known.get("finished_at")) <= str(record.get("finished_at")):
            kept[seed] = record
    for record in failed:
        identity = identity_of(record)
        if identity in seeds or admit_failed:
            losses.setdefault(identity, []).append(record)
    identities = list(dict.fromkeys([*seeds, *losses]))
    members = [
        (tuple(kept for _, kept in sorted(seeds.get(identity, {}).items())), tuple(losses.get(identity, ())))
        for identity in identities
    ]
    labels = names([((kept or lost)[0]["cell"]["label"], _fields((kept or lost)[0]["cell"])) for kept, lost in members])
    return [Row(name, kept, lost) for name, (kept, lost) in zip(labels, members, strict=True)]


def measured(value: float | None) -> float:
    """Return a number in a form that statistics and figures can handle: NaN if it is missing or beyond ±1e100.

    A larger value has overflowed or will do so in a variance, and does not fit on any axis; a value below 1e-100 is 0
    compared with anything that is measured.
    """
    if value is None or not abs(value) <= LARGEST:
        return math.nan
    return float(value) if abs(value) >= SMALLEST else 0.0


def _identity(cell: Mapping[str, Any]) -> str:
    return _identified(marshal.dumps({**cell, "seed": 0}, 2))


@functools.lru_cache(maxsize=2**14)  # a row's cells differ only in their seeds
def _identified(cell: bytes) -> str:
    fields = marshal.loads(cell)
    return json.dumps([fields["role"] == "model", _fields(fields)], sort_keys=True, default=str)


def _fields(cell: Mapping[str, Any]) -> dict[str, Any]:
    if cell["role"] != "model":  # it never trains, so training settings do not apply to it
        return {"label": cell["label"], "options": cell.get("options")}
    plugin = cell.get("plugin") or {}
    fields = {name: value for name, value in cell.items() if name not in _NOT_IDENTITY and name != "plugin"}
    return fields | {f"plugin {name}": plugin.get(name) for name in _OF_PLUGIN}


def names(cells: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return a name for each (label, fields): the label, plus what differs if several share one label.

    >>> names([("vae", {"batch_size": 64}), ("vae", {"batch_size": 32}), ("gan", {"batch_size": 64})])
    ['vae (batch size 64)', 'vae (batch size 32)', 'gan']
    """
    by_label: dict[str, list[Mapping[str, Any]]] = {}
    for label, fields in cells:
        by_label.setdefault(label, []).append(fields)
    return [_name(label, fields, by_label[label]) for label, fields in cells]


def _name(label: str, own: Mapping[str, Any], namesakes: Sequence[Mapping[str, Any]]) -> str:
    differing = [name for name in own if any(other.get(name) != own[name] for other in namesakes)]
    said = (f"{name.replace('_', ' ').replace(' sha256', '')} {_short(name, own[name])}" for name in differing)
    return f"{label} ({', '.join(said)})" if differing else label


def _short(name: str, value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return shown[:8] if name.endswith("sha256") else shown
