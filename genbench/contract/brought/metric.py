"""The contract for metrics: valid values, a minimum of evidence, the right direction, no order, no side effects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from genbench import seeding
from genbench.contract.brought.evidence import FEATURES, WORSE, drawn
from genbench.contract.brought.suite import LOADS, Suite, Trial, stir
from genbench.contract.check import Check
from genbench.contract.fault import Caution, Fault, Unmet, calling
from genbench.errors import PluginError
from genbench.evaluation.brought import definition, number_of
from genbench.kinds.nouns import NOUNS
from genbench.metrics.evidence import Evidence
from genbench.metrics.metric import Metric
from genbench.metrics.not_measurable import NotMeasurable
from genbench.plugin import world
from genbench.plugin.families import METRIC
from genbench.plugin.loading import Plugin

__all__ = ["SUITE"]

HOOK = METRIC.hook
COUNT = 128  # items in a set of evidence, or twice the least count
DRAWS = 4  # draws of samples, to estimate how much a value varies by chance
ROUNDING = 1e-5  # relative change that a different summation order may cause
LEAST_MOVE = 1e-7  # absolute change to allow for values close to 0


class MetricTrial(Trial):
    """A metric under test."""

    def __init__(self, plugin: Plugin, given: Mapping[str, Any]) -> None:
        super().__init__(plugin, given)
        self._metric: Metric | None = None
        self._known: dict[tuple[str, int, str], dict[str, float]] = {}

    @property
    def metric(self) -> Metric:
        """The metric that the hook defines; raise `Fault` if it does not define one."""
        if self._metric is None:
            try:
                self._metric = definition(self.plugin)
            except PluginError as error:
                said = str(error).removeprefix(f"{self.plugin}: ")
                raise Fault(
                    f"{HOOK} to return a sound genbench.Metric", f"this: {said}", "see the docstring of Metric"
                ) from error
        return self._metric

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of items that it declares to support and that can provide what it needs."""
        wanted = self.metric.kinds or tuple(NOUNS)
        there = [kind for kind in wanted if not self._lacking(kind)]
        if not there:
            raise Unmet(f"no items have {', '.join(self._lacking(wanted[0]))}, which it needs")
        return tuple(there)

    def _lacking(self, kind: str) -> list[str]:
        evidence = drawn(kind, 1, 0)
        return [need for need in self.metric.needs if getattr(evidence, need) is None]

    @property
    def count(self) -> int:
        """The number of items of evidence that its values are measured on."""
        return max(COUNT, 2 * self.metric.least_count * (FEATURES if self.metric.per_feature else 1))

    def numbers(self, kind: str, seed: int = 0, worse: str = "") -> dict[str, float]:
        """Return the values for samples drawn from a seed, measured only once."""
        key = kind, seed, worse
        if key not in self._known:
            self._known[key] = self.measure(drawn(kind, self.count, seed, worse))
        return self._known[key]

    def measure(self, evidence: Evidence) -> dict[str, float]:
        """Return the values for this evidence; none if the metric reports it as not measurable."""
        try:
            with calling("its function", self.home), world.imports_put_back(), torch.no_grad():
                try:
                    given = self.metric.compute(evidence)
                except NotMeasurable:
                    return {}
        except Fault as fault:
            if isinstance(fault.__cause__, NotMeasurable):
                return {}
            raise
        if not isinstance(given, Mapping):
            raise Fault("its function to return a dict of numbers by name", type(given).__name__, "return a dict")
        return {str(name): _number(str(name), value) for name, value in given.items()}

    def chance(self, kind: str, name: str) -> float:
        """Return how much a value varies by chance: its range over several draws of samples."""
        values = [self.numbers(kind, seed)[name] for seed in range(DRAWS) if name in self.numbers(kind, seed)]
        return max(values) - min(values)

    def directed(self) -> Iterator[tuple[str, str, Callable[[float, float], bool]]]:
        """Yield kind, name, and a function that tells whether one value is better, for values with a direction."""
        for kind in self.kinds:
            for value in self.metric.values:
                if value.direction is not None and value.name in self.numbers(kind):
                    yield kind, value.name, (lambda a, b: a < b) if value.direction == "lower" else (lambda a, b: a > b)


def _number(name: str, value: Any) -> float:
    try:
        return number_of(value)
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"{name} to be a number", type(value).__name__, "return a float") from None


def defines(trial: MetricTrial) -> None:
    """`define_metric` returns names, directions, needs, a least count, a summary, a source and a function."""
    assert trial.metric


def measures(trial: MetricTrial) -> None:
    """Its values have the declared names and are finite on every kind of items that it supports."""
    known = {value.name for value in trial.metric.values}
    found: set[str] = set()
    for kind in trial.kinds:
        numbers = trial.numbers(kind)
        if strange := sorted(set(numbers) - known):
            raise Fault(f"only values named {', '.join(sorted(known))}", f"{strange[0]} too", "declare it in `values`")
        if bad := [name for name, value in numbers.items() if not math.isfinite(value)]:
            raise Fault(
                f"{bad[0]} to be finite on {NOUNS[kind]}",
                str(numbers[bad[0]]),
                "leave out undefined values, or raise NotMeasurable",
            )
        found |= set(numbers)
    if missing := sorted(known - found):
        raise Caution(f"{', '.join(missing)} could not be measured on any of the evidence")


def least_count(trial: MetricTrial) -> None:
    """It returns values for `least_count` items, and none for one item fewer."""
    least = trial.metric.least_count
    for kind in trial.kinds:
        numbers = trial.measure(drawn(kind, least, 0))
        if bad := [name for name, value in numbers.items() if not math.isfinite(value)]:
            raise Fault(
                f"{bad[0]} to be finite on {least} {NOUNS[kind]}, its least_count", str(numbers[bad[0]]), "increase it"
            )
        if not numbers and not trial.metric.per_feature:
            raise Caution(f"on {least} {NOUNS[kind]}, its least_count, it returns no value")
        rows = [need for need in trial.metric.needs if isinstance(getattr(drawn(kind, 1, 0), need), Tensor)]
        if rows and least > 1 and trial.measure(drawn(kind, least - 1, 0)):
            raise Fault(f"no value for {least - 1} {NOUNS[kind]}", "at least one", "let Metric.compute refuse them")


def repeats(trial: MetricTrial) -> None:
    """The same evidence gives the same values, bit for bit, whatever the state of the global generators."""
    for kind in trial.kinds:
        numbers = trial.numbers(kind)
        stir()
        again = trial.measure(drawn(kind, trial.count, 0))
        for name, value in numbers.items():
            if again.get(name) != value:
                raise Fault(
                    f"{name} to be the same twice",
                    f"{value:.9g} and {again.get(name)}",
                    "draw from torch.Generator().manual_seed(evidence.seed)",
                )


def order(trial: MetricTrial) -> None:
    """The order of samples and data does not matter, apart from rounding and the effect of a seed."""
    for kind in trial.kinds:
        shuffled = trial.measure(_shuffled(drawn(kind, trial.count, 0)))
        for name, value in trial.numbers(kind).items():
            moved = abs(shuffled.get(name, math.inf) - value)
            if moved > max(ROUNDING * abs(value), LEAST_MOVE) and not (
                _draws(trial, kind) and moved <= trial.chance(kind, name)
            ):
                raise Fault(
                    f"{name} to be the same in any order of the items",
                    f"{value:.6g} and {shuffled.get(name)}",
                    "compare sets, not rows; sort before any step that depends on the order",
                )


def _draws(trial: MetricTrial, kind: str) -> bool:
    """Return whether the values depend on the evidence's seed, as with random subsets."""
    evidence = drawn(kind, trial.count, 0)
    return trial.measure(replace(evidence, seed=1, statistics=evidence.statistics)) != trial.numbers(kind)


def direction(trial: MetricTrial) -> None:
    """Samples like the data score better than at least one kind of worse samples, for every value with a direction."""
    for kind, name, is_better in trial.directed():
        real = trial.numbers(kind)[name]
        others = {what: trial.numbers(kind, 0, what).get(name) for what in WORSE}
        known = {what: value for what, value in others.items() if value is not None}
        if known and not any(is_better(real, value) for value in known.values()):
            shown = ", ".join(f"{value:.4g} for {what}" for what, value in known.items())
            raise Fault(
                f"{name} to be better for samples like the data than for some worse samples, on {NOUNS[kind]}",
                f"{real:.4g} for samples like the data, {shown}",
                "check its direction: 'lower' means that lower is better, 'higher' that higher is",
            )


def near_best(trial: MetricTrial) -> None:
    """No kind of worse samples scores better than samples like the data, beyond chance."""
    said = []
    for kind, name, is_better in trial.directed():
        real, chance = trial.numbers(kind)[name], trial.chance(kind, name)
        for what in WORSE:
            value = trial.numbers(kind, 0, what).get(name)
            if value is not None and is_better(value, real) and abs(value - real) > chance:
                said.append(f"{name} prefers {what} ({value:.4g}) to {NOUNS[kind]} like the data ({real:.4g})")
    if said:
        raise Caution("; ".join(dict.fromkeys(said)))


def leaves_evidence_alone(trial: MetricTrial) -> None:
    """It changes no tensor of its evidence and no global state."""
    for kind in trial.kinds:
        evidence = drawn(kind, trial.count, 0)
        names = [each.name for each in fields(evidence) if isinstance(getattr(evidence, each.name), Tensor)]
        copies = {name: getattr(evidence, name).clone() for name in names}
        with world.noting() as changed:
            trial.measure(evidence)
        changed += [f"evidence.{name}" for name in names if not torch.equal(copies[name], getattr(evidence, name))]
        if changed:
            raise Fault("everything to stay unchanged", f"that it changed {'; '.join(changed)}", "work on copies")


def _shuffled(evidence: Evidence) -> Evidence:
    """Return the same evidence with samples, training items and held-out items each in another order."""
    changed: dict[str, Any] = {}
    sets = {
        "samples": ("samples", "sample_"),
        "reference": ("reference", "reference_"),
        "held_out": ("held_out", "held_out_"),
        "pairs": ("originals", "reconstructions", "log_likelihoods"),
    }
    for number, (which, names) in enumerate(sets.items()):
        rows = torch.randperm(
            len(getattr(evidence, "originals" if which == "pairs" else which)),
            generator=seeding.generator(number, "contract", "order"),
        )
        for each in fields(evidence):
            value = getattr(evidence, each.name)
            own = each.name in names or (which != "pairs" and each.name.startswith(names[1]))
            if own and isinstance(value, Tensor):
                changed[each.name] = value[rows]
    kept = {each.name: getattr(evidence, each.name) for each in fields(evidence) if each.init}
    return Evidence(**{**kept, **changed, "statistics": None})


_LOADED, _DEFINED = ("loads",), ("loads", "defines")
_MEASURED = (*_DEFINED, "measures")
SUITE = Suite(
    METRIC,
    (
        *LOADS,
        Check("defines", defines, needs=_LOADED, once=True),
        Check("measures", measures, needs=_DEFINED, once=True),
        Check("least_count", least_count, needs=_MEASURED, once=True),
        Check("repeats", repeats, needs=_MEASURED, once=True),
        Check("order", order, needs=(*_MEASURED, "repeats"), once=True),
        Check("direction", direction, needs=_MEASURED, once=True),
        Check("near_best", near_best, needs=(*_MEASURED, "direction"), once=True),
        Check("leaves_alone", leaves_evidence_alone, needs=_MEASURED, once=True),
    ),
    MetricTrial,
)
