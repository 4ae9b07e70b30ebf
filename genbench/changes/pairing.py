"""Finds the rows of two sets of records that are the same model on the same data under the same budget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.records.statistics import differing_fields
from genbench.report.merging import merged
from genbench.report.order import in_order
from genbench.report.rows import Row, rows

__all__ = ["Pair", "Pairing", "Refusal", "pairing"]

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """A row of BASE and the row of NEW that it is compared with; `subject` is a one-line name that is unique to it."""

    dataset: str
    budget: str
    name: str
    subject: str
    base: Row
    new: Row

    @property
    def is_model(self) -> bool:
        """Whether it is a competing model; a control is not."""
        return self.base.is_model

    @property
    def label(self) -> str:
        """The label of both; `name` may add what distinguishes it from another row with the same label."""
        return str(self.base.cell["label"])

    @property
    def settings(self) -> dict[str, tuple[Any, Any]]:
        """The settings in which the two differ, with both values: the subject of the comparison."""
        return differing_fields(self.base.settings, self.new.settings)

    def __str__(self) -> str:
        return self.subject


@dataclass(frozen=True)
class Refusal:
    """What is not compared, and why: `numbers` of `rows` (all numbers if empty), because `fields` differ."""

    rows: tuple[str, ...]
    numbers: tuple[str, ...]
    what: str
    fields: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Pairing:
    """The pairs, the rows (by name) that only one set has, and those that both have but that are not comparable."""

    pairs: tuple[Pair, ...]
    only_base: tuple[str, ...]
    only_new: tuple[str, ...]
    refused: tuple[Refusal, ...]


def pairing(base: Iterable[Record], new: Iterable[Record]) -> Pairing:
    """Pair the rows of two sets by dataset, label and budget.

    Whatever else differs (the plugin's source, its version, the batch size, the training precision) is the purpose of a
    comparison and is listed in `Pair.settings`. Unequal budgets are refused. If a set holds a label more than once
    under one budget, for example after the model's source was edited, its rows are paired only if the other set holds
    the same ones.
    """
    ours, theirs = _by_label(base), _by_label(new)
    pairs: list[Pair] = []
    refused: list[Refusal] = []
    for key in [key for key in ours if key in theirs]:
        found, refusals = _pairs(key, ours[key], theirs[key])
        pairs += found
        refused += refusals
    return Pairing(tuple(pairs), _missing(ours, theirs), _missing(theirs, ours), tuple(refused))


_Key = tuple[str, bool, str]
_ByBudget = dict[str, list[Row]]


def _by_label(records: Iterable[Record]) -> dict[_Key, _ByBudget]:
    groups: dict[tuple[str, bool, str], list[Record]] = {}
    for record in in_order(merged(records)):
        cell = record["cell"]
        is_model = cell["role"] == "model"
        # A control does not train, so it is the same under any budget.
        budget = str(cell.get("budget")) if is_model else ""
        groups.setdefault((cell["dataset"]["name"], is_model, budget), []).append(record)
    found: dict[_Key, _ByBudget] = {}
    for (dataset, is_model, budget), members in groups.items():
        finished = [record for record in members if record["status"] == "finished"]
        failed = [record for record in members if record["status"] != "finished"]
        for row in rows(finished, failed, admit_failed=True):
            key = (dataset, is_model, str(row.cell["label"]))
            found.setdefault(key, {}).setdefault(budget, []).append(row)
    return found


def _pairs(key: _Key, ours: _ByBudget, theirs: _ByBudget) -> tuple[list[Pair], list[Refusal]]:
    dataset, _, label = key
    shared = [budget for budget in ours if budget in theirs]
    if not shared:
        budgets = (" and ".join(ours), " and ".join(theirs))
        return [], [Refusal((f"{label} on {dataset}",), (), "budgets differ", {"budget": budgets})]
    pairs: list[Pair] = []
    refused: list[Refusal] = []
    for budget in shared:
        one, other = ours[budget], theirs[budget]
        partners = other if len(one) == len(other) == 1 else _equals(one, other)
        if partners is None:
            refused.append(Refusal((f"{label} on {dataset}",), (), _twice(one, other), {}))
            continue
        for row, partner in zip(one, partners, strict=True):
            subject = f"{row.name} on {dataset}" + (f", {budget}" if len(shared) > 1 else "")
            pairs.append(Pair(dataset, budget, row.name, subject, row, partner))
    return pairs, refused


def _equals(one: Sequence[Row], other: Sequence[Row]) -> list[Row] | None:
    """Return, for each row of `one`, the row of `other` with the same settings; None unless each has exactly one."""
    partners = [[row for row in other if row.settings == wanted.settings] for wanted in one]
    if len(one) != len(other) or any(len(found) != 1 for found in partners):
        return None
    return [found[0] for found in partners]


def _twice(one: Sequence[Row], other: Sequence[Row]) -> str:
    first, *rest = [*one, *other]
    fields = dict.fromkeys(name for row in rest for name in differing_fields(first.settings, row.settings))
    return (
        f"the label occurs {_times(one)} in BASE and {_times(other)} in NEW, differing in "
        f"{', '.join(name.replace('_', ' ') for name in fields)}; compare folders that hold one version of it"
    )


def _times(found: Sequence[Row]) -> str:
    return "once" if len(found) == 1 else f"{len(found)} times"


def _missing(ours: Mapping[_Key, _ByBudget], theirs: Mapping[_Key, _ByBudget]) -> tuple[str, ...]:
    names = []
    for (dataset, is_model, label), budgets in ours.items():
        other = theirs.get((dataset, is_model, label))
        if other is None:
            names.append(f"{label} on {dataset}")
        elif any(budget in other for budget in budgets):
            names += [f"{label} on {dataset}, {budget}" for budget in budgets if budget not in other]
    return tuple(names)
