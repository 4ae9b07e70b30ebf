"""Compares every number of every pair, or refuses and names what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from genbench.changes.change import Change, cost_change, quality_change
from genbench.changes.expression import Term, applying
from genbench.changes.losses import Loss, losses
from genbench.changes.measures import Measure, cost_value, measures
from genbench.changes.pairing import Pair, Pairing, Refusal, pairing
from genbench.records.statistics import differing_fields, holm
from genbench.report.merging import with_older
from genbench.report.quantities import declare, main_metric
from genbench.report.rows import Row

__all__ = ["Comparison", "compare"]

Record = Mapping[str, Any]

# What decides how fast a machine is. Software may be the very subject of a comparison, so it is listed, not refused.
_MACHINE = ("device", "device_name", "processor", "cores", "threads", "jobs", "platform")
_SOFTWARE = ("genbench", "commit", "torch", "python", "cuda")
_ROUNDING = 1e-3  # relative: how far another processor's rounding may move a control's number


@dataclass(frozen=True)
class Comparison:
    """The result of comparing two sets of records.

    `one_sided` lists each pair and number that only one side measured, with that side; `names` holds every name in
    either set, `models` every model's label, both alone and as label@dataset, and `software` the versions that differ.
    """

    pairing: Pairing
    changes: tuple[Change, ...]
    refused: tuple[Refusal, ...]
    losses: tuple[Loss, ...]
    one_sided: tuple[tuple[Pair, Measure, str], ...]
    names: frozenset[str]
    models: frozenset[str]
    software: Mapping[str, tuple[Any, Any]]

    @property
    def altered_controls(self) -> list[Change]:
        """Controls whose main number differs under the same recipe: the measurement itself has changed."""
        return [
            change
            for change in self.changes
            if not change.pair.is_model
            and change.measure.name
            == main_metric(name for record in change.pair.base.records for name in record["numbers"])
            and change.resolved
            and abs(change.relative or 0.0) > _ROUNDING
        ]


def compare(base: Sequence[Record], new: Sequence[Record], terms: Sequence[Term] = ()) -> Comparison:
    """Compare two sets of records.

    The p-values on which `terms` decide are Holm-corrected over all of these terms and models, because together they
    form one decision. Those of any other number are corrected over the models that have it.

    Args:
        base: the records' data, finished and failed, from before.
        new: likewise, from after.
        terms: those of `--fail-on`.
    """
    declare(recipe for record in (*base, *new) for recipe in record["recipes"].values())
    paired = pairing(base, new)
    changes: list[Change] = []
    refused = list(paired.refused)
    one_sided = []
    for pair in paired.pairs:
        other_machine = _machines(pair)
        for measure in measures([*pair.base.records, *pair.new.records]):
            found = _one(pair, measure, other_machine)
            if isinstance(found, Change):
                changes.append(found)
            elif isinstance(found, Refusal):
                refused.append(found)
            elif found:
                one_sided.append((pair, measure, found))
    return Comparison(
        paired,
        tuple(_corrected(changes, terms)),
        tuple(_merged(refused)),
        tuple(loss for pair in paired.pairs for loss in losses(pair)),
        tuple(one_sided),
        frozenset(measure.name for measure in measures([*base, *new])),
        _models([*base, *new]),
        _differing(base, new, _SOFTWARE),
    )


def _one(pair: Pair, measure: Measure, other_machine: Mapping[str, tuple[Any, Any]]) -> Change | Refusal | str | None:
    """Return the change, why there is none, or the only side that has the number; None if nothing is to be reported."""
    if not pair.base.records or not pair.new.records:
        return None  # reported as losses
    has = [_has(row, measure) for row in (pair.base, pair.new)]
    if not all(has):
        return "BASE" if has[0] else "NEW"
    if measure.kind == "quality":
        ours, theirs = _recipes(pair.base, measure.name), _recipes(pair.new, measure.name)
        shared = [recipe for recipe in ours if recipe in theirs]  # the newest first
        if shared:
            return quality_change(pair, measure, (measure.name, shared[0]))
        fields = differing_fields(next(iter(ours.values())), next(iter(theirs.values())))
        return Refusal((str(pair),), (measure.name,), "recipes differ", fields)
    if measure.of_machine and other_machine:
        return Refusal((str(pair),), (measure.name,), "machines differ", other_machine)
    return cost_change(pair, measure)


def _has(row: Row, measure: Measure) -> bool:
    if measure.kind == "quality":
        return any(measure.name in record["numbers"] for record in row.records)
    return any(cost_value(record["cost"], measure.name) is not None for record in row.records)


def _recipes(row: Row, metric: str) -> dict[str, Mapping[str, Any]]:
    held = [with_older(record) for record in row.records]
    depth = max((len(one) for one in held), default=0)
    parts = [one[place] for place in range(depth) for one in held if place < len(one)]
    numbers = [(record, record["numbers"].get(metric)) for record in parts]
    return {number["recipe"]: record["recipes"][number["recipe"]] for record, number in numbers if number}


def _machines(pair: Pair) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which machines differ, even within a side: seeds from two machines have no common speed."""
    return _differing(pair.base.records, pair.new.records, _MACHINE)


def _differing(base: Iterable[Record], new: Iterable[Record], names: Iterable[str]) -> dict[str, tuple[Any, Any]]:
    environments = [[record["environment"] for record in side if record.get("environment")] for side in (base, new)]
    found: dict[str, tuple[Any, Any]] = {}
    for name in names:
        ours, theirs = ([_field(environment, name) for environment in side] for side in environments)
        values = [*dict.fromkeys(ours)], [*dict.fromkeys(theirs)]
        if len({*values[0], *values[1]}) > 1:
            found[name] = (_said(values[0]), _said(values[1]))
    return found


def _field(environment: Mapping[str, Any], name: str) -> Any:
    if name == "device":  # which of several identical GPUs it was makes no difference
        return str(environment.get(name)).partition(":")[0]
    return environment.get(name)


def _said(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else ", ".join(map(str, values)) or None


def _merged(refused: Iterable[Refusal]) -> list[Refusal]:
    """Join refusals that give the same cause for several numbers or rows."""
    by_cause: dict[str, list[Refusal]] = {}
    for refusal in refused:
        by_cause.setdefault(f"{refusal.what} {refusal.fields!r}", []).append(refusal)
    return [
        replace(
            same[0],
            rows=tuple(dict.fromkeys(row for refusal in same for row in refusal.rows)),
            numbers=tuple(dict.fromkeys(name for refusal in same for name in refusal.numbers)),
        )
        for same in by_cause.values()
    ]


def _models(records: Iterable[Record]) -> frozenset[str]:
    cells = [record["cell"] for record in records if record["cell"]["role"] == "model"]
    whole = {f"{cell['label']}@{cell['dataset']['name']}" for cell in cells}
    return frozenset(whole | {str(cell["label"]) for cell in cells})


def _corrected(changes: Sequence[Change], terms: Sequence[Term]) -> list[Change]:
    families: dict[tuple[bool, str], list[int]] = {}
    for position, change in enumerate(changes):
        if change.p is not None:
            name, pair = change.measure.name, change.pair
            decides = pair.is_model and any(term.name == name for term in applying(terms, pair.label, pair.dataset))
            families.setdefault((pair.is_model, "" if decides else name), []).append(position)
    corrected = list(changes)
    for family in families.values():
        for position, p in zip(family, holm([changes[place].p or 0.0 for place in family]), strict=True):
            corrected[position] = replace(changes[position], p_holm=p)
    return corrected
