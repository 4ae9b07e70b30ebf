"""Runs the checks: every metric on every draw, and a verdict for each number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genbench.errors import InputError, quoted
from genbench.metrics.evidence import Evidence
from genbench.metrics.metric import Metric
from genbench.metrics.not_measurable import NotMeasurable
from genbench.records.intervals import moments
from genbench.sanity.checks import CHECKS, YARDSTICKS, Check
from genbench.sanity.constants import COUNT, SEEDS, Purpose
from genbench.sanity.distributions import Draw
from genbench.sanity.finding import Finding
from genbench.sanity.judging import judge, resolved
from genbench.sanity.purposes import Reading, readings
from genbench.seeding import generator

__all__ = ["draws", "run_checks"]

Observe = Callable[[str, int, int], None]


@dataclass
class _Measured:
    """The values of one number under one check, seed by seed in each row."""

    clean: list[list[float]] = field(default_factory=list)
    failing: list[list[float]] = field(default_factory=list)
    reason: str = ""


def run_checks(
    metrics: Sequence[Metric],
    seeds: int = SEEDS,
    *,
    count: int = COUNT,
    purpose: Purpose | None = None,
    observe: Observe | None = None,
) -> list[Finding]:
    """Put metrics through all checks.

    Args:
        metrics: metrics that need only features (`purposes.FEATURES`).
        seeds: draws per level, 2 or more; a paired test over them decides what has moved.
        count: items in each set of a draw; a metric that needs more gets as many as it needs.
        purpose: purpose of the numbers that `PURPOSES` does not list.
        observe: called after each measurement with the check, the number done and the total.

    Returns:
        A finding for each number and check that is judged for its purpose, numbers in the order of `metrics`.

    Raises:
        InputError: a metric raises anything but `NotMeasurable`, or returns anything but finite numbers under the
            names that it declares.
    """
    groups: dict[int, list[Metric]] = {}
    for metric in metrics:
        groups.setdefault(max(count, metric.least_count), []).append(metric)
    total = len(groups) * seeds * sum(len(check.levels) + _clean_draws(check) for check in CHECKS.values())
    done = 0
    found: dict[tuple[str, str], _Measured] = {}
    for size, group in groups.items():
        for check in CHECKS.values():
            for seed in range(seeds):
                clean, failing = draws(check, seed, size)
                measured = []
                for draw in (*clean, *failing):
                    measured.append(_numbers(group, draw, f"check {check.name!r}, seed {seed}", seed))
                    done += 1
                    if observe is not None:
                        observe(check.name, done, total)
                _keep(found, group, check, measured, len(clean))
    return [finding for metric in metrics for finding in _findings(metric, found, purpose, seeds)]


def draws(check: Check, seed: int, count: int) -> tuple[list[Draw], list[Draw]]:
    """Return what the levels of a check are compared with, one for all or one each, and the draws at its levels."""

    def drawn(draw: Callable[..., Draw], level: float) -> Draw:
        return draw(level, generator(seed, "sanity", check.name), count)

    failing = [drawn(check.draw, level) for level in check.levels]
    if check.ideal:
        return [], failing
    if check.clean is None:
        return [drawn(check.draw, 0)], failing
    return [drawn(check.clean, level) for level in check.levels], failing


def _clean_draws(check: Check) -> int:
    return {"ideal": 0, "level 0": 1, "its own level": len(check.levels)}[check.against]


def _numbers(metrics: Sequence[Metric], draw: Draw, where: str, seed: int) -> dict[str, float | str]:
    """Return number → its value, or why there is none."""
    evidence = Evidence(samples=draw.samples, reference=draw.reference, held_out=draw.held_out, seed=seed)
    found: dict[str, float | str] = {}
    for metric in metrics:
        try:
            numbers = metric.compute(evidence)
        except NotMeasurable as reason:
            found |= {value.name: str(reason) for value in metric.values}
            continue
        except (Exception, SystemExit) as error:  # a third party's code may raise anything
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(f"metric {metric.name!r}: raised {text} ({where}); fix it") from error
        _check_numbers(metric, numbers, where)
        left_out = f"{metric.name}: returned no number of this name"
        found |= {value.name: numbers.get(value.name, left_out) for value in metric.values}
    return found


def _check_numbers(metric: Metric, numbers: Any, where: str) -> None:
    declared = [value.name for value in metric.values]
    if not isinstance(numbers, Mapping):
        raise InputError(
            f"metric {metric.name!r}: returned {type(numbers).__name__} ({where}); "
            f"return a dict of numbers by name: {', '.join(declared)}"
        )
    for name, number in numbers.items():
        if name not in declared:
            raise InputError(
                f"metric {metric.name!r}: returned a number called {quoted(name)} ({where}), "
                f"but declares {', '.join(declared)}; use one name in both"
            )
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            raise InputError(
                f"metric {metric.name!r}: returned {quoted(number)} as {name} ({where}); "
                "return a finite float, leave it out, or raise NotMeasurable"
            )


def _keep(
    found: dict[tuple[str, str], _Measured],
    metrics: Sequence[Metric],
    check: Check,
    measured: Sequence[Mapping[str, float | str]],
    clean: int,
) -> None:
    for number in (value.name for metric in metrics for value in metric.values):
        own = found.setdefault((check.name, number), _Measured())
        row: list[float] = []
        for numbers in measured:
            value = numbers[number]
            if isinstance(value, str):
                own.reason = own.reason or value
            else:
                row.append(float(value))
        own.clean.append(row[:clean])
        own.failing.append(row[clean:])


def _findings(
    metric: Metric, found: Mapping[tuple[str, str], _Measured], purpose: Purpose | None, seeds: int
) -> list[Finding]:
    findings = []
    for number, reading in readings(metric, purpose).items():
        yardstick, level = YARDSTICKS[reading.purpose]
        unit = _unit(CHECKS[yardstick], level, found[yardstick, number], reading)
        for check in CHECKS.values():
            if reading.purpose in check.expects and not (check.ideal and reading.ideal is None):
                measured = found[check.name, number]
                findings.append(_finding(metric.name, number, reading, check, measured, unit, seeds))
    return findings


def _unit(check: Check, level: float, measured: _Measured, reading: Reading) -> float:
    if measured.reason:
        return 0.0
    changes = _changes(check, measured, reading)[check.levels.index(level)]
    return moments(changes)[0] if resolved(changes) > 0 else 0.0


def _changes(check: Check, measured: _Measured, reading: Reading) -> list[list[float]]:
    """Return for each level and seed by how much the number became worse."""
    sign = 1 if reading.direction == "lower" else -1
    changes = []
    for at in range(len(check.levels)):
        # What a level is compared with: the ideal, the one clean draw of its seed, or the clean draw of its own level.
        clean = [reading.ideal or 0.0 if check.ideal else row[at % len(row)] for row in measured.clean]
        changes.append([sign * (row[at] - then) for row, then in zip(measured.failing, clean, strict=True)])
    return changes


def _finding(
    metric: str, number: str, reading: Reading, check: Check, measured: _Measured, unit: float, seeds: int
) -> Finding:
    expectation = check.expects[reading.purpose]
    if measured.reason:
        return Finding(
            metric, number, reading.purpose, check.name, expectation, "not measurable",
            None, None, None, None, unit, seeds, measured.reason,
        )  # fmt: skip
    changes = _changes(check, measured, reading)
    judgement = judge(expectation, changes, unit, ordered=check.against == "level 0")
    mean, variance = moments(changes[judgement.at])
    clean = [reading.ideal or 0.0] if check.ideal else [row[judgement.at % len(row)] for row in measured.clean]
    return Finding(
        metric, number, reading.purpose, check.name, expectation, judgement.verdict,
        check.levels[judgement.at], moments(clean)[0], mean, (variance / seeds) ** 0.5, unit, seeds,
    )  # fmt: skip
