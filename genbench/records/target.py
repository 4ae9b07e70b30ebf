"""Time to target: the first point of a curve that is good enough, over seeds and over datasets."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.config.target import Target

__all__ = ["MEASURES", "ToTarget", "first_met", "performance_ratios", "share_within", "time_to_target"]

MEASURES = ("step", "items", "elapsed_s", "flops")  # fields of a curve's point that can be counted up to a target

Point = Mapping[str, Any]


def first_met(curve: Iterable[Point], target: Target, real: float | None = None) -> Point | None:
    """Return the first point at which a curve meets the target; None if it never does.

    The first, even if the curve later turns back: the question is how long it takes until the model is good enough. It
    is known up to the distance between two evaluations, and lies after the previous one.

    Args:
        curve: points in the order of training, some with `numbers`.
        target: the target to meet.
        real: the score of the control `real` at the same count, for a target that is a ratio to it.
    """
    unit = real if target.is_ratio else 1.0
    return next((point for point in curve if target.is_met(_value(point, target.number) / (unit or math.nan))), None)


@dataclass(frozen=True)
class ToTarget:
    """How long a model takes to reach its target, over training seeds.

    Args:
        seeds: number of seeds that were trained or failed on the way.
        met: how many of them met the target.
        median: measure -> median over all seeds, a miss counting as infinite; None where a point lacks the measure.
    """

    seeds: int
    met: int
    median: Mapping[str, float | None]


def time_to_target(
    curves: Sequence[Sequence[Point]], target: Target, real: float | None = None, failed: int = 0
) -> ToTarget | None:
    """Return the medians over seeds of what each needs to meet the target; a seed that never does counts as infinite.

    A model that is quick when it succeeds but often fails therefore gains nothing by its failures. For an even number
    of seeds the median is the mean of the middle two, infinite if one of them is.

    Dahl et al. 2023, Benchmarking neural network training algorithms, §4, https://arxiv.org/abs/2306.07179; Mattson
    et al. 2020, MLPerf training benchmark, https://arxiv.org/abs/1910.01500

    Args:
        curves: one per seed. Those that never contain the number are left out: nothing is known about them.
        target: the target to meet.
        real: as in `first_met`.
        failed: number of seeds whose training failed; they count as misses.

    Returns:
        None where there are curves but none contains the number, where there is nothing, or the ratio has no `real`.

    Example:
        >>> curves = [[{"step": step, "numbers": {"fd": 100 / step}} for step in (10, 20, 30)] for _ in range(3)]
        >>> found = time_to_target(curves, Target("fd", "<", 6.0), failed=1)
        >>> found.met, found.seeds, found.median["step"]
        (3, 4, 20.0)
    """
    known = [curve for curve in curves if any(not math.isnan(_value(point, target.number)) for point in curve)]
    unknown = not known if curves else not failed
    if unknown or (target.is_ratio and not real):
        return None
    points = [first_met(curve, target, real) for curve in known]
    misses = [math.inf] * (points.count(None) + failed)
    median = {name: _median([point.get(name) for point in points if point is not None], misses) for name in MEASURES}
    return ToTarget(len(known) + failed, len(points) - points.count(None), median)


def performance_ratios(times: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    r"""Return model -> its times over the smallest of all models on the same problem, ascending.

    :math:`r_{p,s} = t_{p,s} / \min_s t_{p,s}`, infinite where the model did not meet the target, and so for all where
    none did. The share of the ratios up to τ, :math:`\rho_s(\tau)`, is the performance profile: at τ = 1 how often a
    model is the fastest, for large τ how often it meets the target at all.

    Dolan & Moré 2002, Benchmarking optimization software with performance profiles,
    https://doi.org/10.1007/s101070100263

    Args:
        times: model -> one time per problem, the problems in the same order; infinite where it failed.

    Example:
        >>> performance_ratios({"gan": [10.0, 30.0, math.inf], "vae": [20.0, 15.0, 5.0]})
        {'gan': [1.0, 2.0, inf], 'vae': [1.0, 1.0, 2.0]}
    """
    best = [min(on_one) for on_one in zip(*times.values(), strict=True)]
    return {model: sorted(map(_ratio, held, best)) for model, held in times.items()}


def share_within(ratios: Sequence[float], bound: float) -> float:
    """Return ρ(τ): the share of a model's ratios that are finite and at most `bound`."""
    return sum(ratio <= bound and math.isfinite(ratio) for ratio in ratios) / len(ratios)


def _ratio(time: float, best: float) -> float:
    if math.isinf(time):
        return math.inf
    if time == best:  # both may be 0: met before the first step
        return 1.0
    return time / best if best else math.inf


def _value(point: Point, name: str) -> float:
    value = (point.get("numbers") or {}).get(name)
    return math.nan if value is None else float(value)


def _median(found: Sequence[float | None], misses: Sequence[float]) -> float | None:
    given = [float(value) for value in found if value is not None]
    if len(given) < len(found):
        return None
    return statistics.median([*given, *misses])
