"""Results across datasets: the models' scores on each, under one budget, and which have none and why."""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from genbench.aggregate.strata import Strata
from genbench.records.identity import slug
from genbench.records.score import Anchors
from genbench.records.statistics import pairwise
from genbench.report.anchoring import anchored
from genbench.report.quantities import quantity
from genbench.report.rows import Row, names
from genbench.report.sections import Section

__all__ = ["DISTANCES", "Across", "Outcome", "Place", "across"]

DISTANCES = ("fid", "fd_dinov2", "fad", "fd")
"""What is aggregated unless another number is named: the distance that a section is sorted by."""

_OF_DATASET = frozenset({"extractor", "samples"})  # these may differ between datasets; each one's recipe records them


@dataclass(frozen=True)
class Outcome:
    """The outcome of one model on one dataset.

    Args:
        values: training seed -> the number, as measured.
        scores: training seed -> its score; seeds without a score are omitted.
        failed: number of seeds that have only failed records.
        finished: number of seeds that have a record with numbers.
        unsuitable: why the model does not support the data, if it says so.
    """

    values: Mapping[int, float] = field(default_factory=dict)
    scores: Mapping[int, float] = field(default_factory=dict)
    failed: int = 0
    finished: int = 0
    unsuitable: str | None = None

    @property
    def unscored(self) -> int:
        """Seeds that finished without a number, or with one that has no score."""
        return self.finished - len(self.scores)


@dataclass(frozen=True)
class Place:
    """One dataset: its section, and the scale of its scores, or why it has none."""

    name: str
    section: Section
    zero: str
    anchors: Anchors | None
    fault: str

    @property
    def number(self) -> str:
        """The number that is scored here."""
        return self.section.main[0] if self.section.main else ""


@dataclass(frozen=True)
class Across:
    """Models on datasets under one budget.

    Args:
        budget: the budget of all cells.
        places: the datasets that have the number, by name.
        conflicts: dataset -> the recipes, by id, under which its number was measured, if there are several.
        outcomes: model -> dataset -> outcome; a dataset that a model was not run on is missing.
    """

    budget: str
    places: tuple[Place, ...]
    conflicts: Mapping[str, Mapping[str, Mapping[str, Any]]]
    outcomes: Mapping[str, Mapping[str, Outcome]]

    @property
    def slug(self) -> str:
        """The prefix of this budget's file names."""
        return f"aggregate.{slug(self.budget)}"

    @functools.cached_property
    def scored(self) -> tuple[Place, ...]:
        """The datasets that have scores."""
        return tuple(place for place in self.places if any(self._strata(model, place.name) for model in self.outcomes))

    @functools.cached_property
    def scores(self) -> dict[str, Strata]:
        """Model -> dataset -> scores by training seed, for the models that have any."""
        found = {
            model: {place.name: held for place in self.scored if (held := self._strata(model, place.name))}
            for model in self.outcomes
        }
        return {model: strata for model, strata in found.items() if strata}

    @functools.cached_property
    def shared(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The models of the main table, and the datasets on which all of them have scores.

        The selection has the most cells (models times datasets), so that a model that was run on few datasets does not
        remove datasets from the others; ties go to more models. It has at least two of each, and is empty if no two
        models share two datasets.
        """
        held = {model: frozenset(strata) for model, strata in self.scores.items()}
        sets = [one & other for one, other in itertools.combinations(held.values(), 2)]
        candidates = {frozenset.intersection(*held.values()), *sets} if held else set()
        best: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        for candidate in sorted(candidates, key=sorted):
            models = tuple(model for model, datasets in held.items() if datasets >= candidate)
            cells = len(models) * len(candidate)
            if min(len(models), len(candidate)) > 1 and (cells, len(models)) > (
                len(best[0]) * len(best[1]),
                len(best[0]),
            ):
                best = (models, tuple(place.name for place in self.scored if place.name in candidate))
        return best

    @property
    def fault(self) -> str | None:
        """Why nothing can be aggregated, as a sentence without its full stop; None if something can."""
        if len(self.places) < 2:
            return f"only {', '.join(place.name for place in self.places) or 'no dataset'} has it, and two are needed"
        if len(self.scored) < 2:
            without = [place for place in self.places if place not in self.scored]
            said = "; ".join(
                f"{place.name}: {place.fault or f'no model has {place.number} above 0'}" for place in without
            )
            return f"fewer than two datasets have scores ({said})"
        if len(self.scores) < 2:
            return f"only the model {next(iter(self.scores))} has scores, and two are needed"
        return None if self.shared[0] else "no two models have scores on two common datasets"

    def wins(self, models: Sequence[str]) -> dict[tuple[str, str], list[int]]:
        """Return pair of these models -> number of datasets on which the first is better, neither is, and the second
        is.

        "Better" is decided as in the dataset's own table: resolved after Holm over its pairs of models.
        """
        found: dict[tuple[str, str], list[int]] = {}
        for place in self.scored:
            everyone = dict.fromkeys([*models, *self.outcomes])  # the table's own test corrects over all of its pairs
            held = {model: self.outcomes[model].get(place.name) for model in everyone}
            values = {model: outcome.values for model, outcome in held.items() if outcome}
            lower = quantity(place.number).direction == "lower"
            told = {(pair.first, pair.second): pair for pair in pairwise(values)}
            for first, second in itertools.combinations(models, 2):
                if place.name in self.scores[first] and place.name in self.scores[second]:
                    pair = told[first, second]
                    side = (0 if (pair.mean < 0) == lower else 2) if pair.resolved else 1
                    found.setdefault((first, second), [0, 0, 0])[side] += 1
        return found

    def _strata(self, model: str, dataset: str) -> list[float]:
        outcome = self.outcomes[model].get(dataset)
        return [score for _, score in sorted(outcome.scores.items())] if outcome else []


def across(made: Iterable[Section], metric: str | None = None) -> list[Across]:
    """Return the results across datasets, one per budget, starting with the budget that has the most datasets.

    Args:
        made: the sections of the records of one or more folders.
        metric: the number to score, by which the sections were built; by default each section's main number, if it is a
            distance (`DISTANCES`).
    """
    by_budget: dict[str, list[Section]] = {}
    for section in made:
        if section.models:
            by_budget.setdefault(section.budget, []).append(section)
    every = [_of_budget(budget, held, (metric,) if metric else DISTANCES) for budget, held in by_budget.items()]
    found = [one for one in every if one.places or one.conflicts]
    return sorted(found, key=lambda one: (-len(one.places), one.budget))


def _of_budget(budget: str, held: Sequence[Section], wanted: Sequence[str]) -> Across:
    by_data: dict[str, list[Section]] = {}
    strays: dict[str, list[Section]] = {}  # of cells that lack the number and are therefore in a table by another one
    for section, name in zip(held, _dataset_names(held), strict=True):
        has = section.main is not None and section.main[0] in wanted
        (by_data if has else strays).setdefault(name, []).append(section)
    conflicts = {
        name: {section.main[1]: section.recipe(section.main[1]) for section in several if section.main}
        for name, several in by_data.items()
        if len(several) > 1
    }
    places = tuple(_place(name, several[0]) for name, several in by_data.items() if name not in conflicts)
    return Across(budget, places, conflicts, _outcomes(places, strays))


def _dataset_names(held: Iterable[Section]) -> list[str]:
    """Return the name of each section's dataset, extended if two datasets share a name."""
    known: dict[str, set[str]] = {}
    for section in held:
        known.setdefault(section.title[0], set()).add(str(section.dataset.get("fingerprint")))
    return [
        f"{section.title[0]} (data {str(section.dataset.get('fingerprint'))[:8]})"
        if len(known[section.title[0]]) > 1
        else section.title[0]
        for section in held
    ]


def _place(name: str, section: Section) -> Place:
    return Place(name, section, *anchored(section))


def _outcomes(places: Iterable[Place], strays: Mapping[str, Sequence[Section]]) -> dict[str, dict[str, Outcome]]:
    known: dict[str, tuple[str, dict[str, Any], dict[str, Outcome]]] = {}
    for place in places:
        for section in (place.section, *strays.get(place.name, ())):
            for row in section.models:
                fields = {name: value for name, value in row.settings.items() if name not in _OF_DATASET}
                identity = json.dumps(fields, sort_keys=True, default=str)
                _, _, found = known.setdefault(identity, (str(row.cell["label"]), fields, {}))
                before = found.get(place.name)
                found[place.name] = _outcome(row, place) if before is None else _with_stray(before, row)
    labels = names([(label, fields) for label, fields, _ in known.values()])
    named = {name: found for name, (_, _, found) in zip(labels, known.values(), strict=True)}
    return dict(sorted(named.items()))


def _with_stray(outcome: Outcome, row: Row) -> Outcome:
    """Count the finished seeds of a row without the number; failed seeds are already counted."""
    return replace(outcome, finished=outcome.finished + len(row.records))


def _outcome(row: Row, place: Place) -> Outcome:
    assert place.section.main is not None
    values = row.values(place.section.main)
    scores = {seed: place.anchors.score(value) for seed, value in values.items()} if place.anchors else {}
    scores = {seed: score for seed, score in scores.items() if math.isfinite(score)}
    return Outcome(values, scores, row.lost, len(row.records), row.unsuitable)
