"""When a slow-down is real: intervals over pairs of processes, the noise floor, and the verdict.

A pair is one process of the base and one of the head that took turns; its number is the logarithm of head ÷ base, in
seconds per step. A second process of the base takes turns with them, and its difference from the first is noise.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from genbench.records.statistics import holm

__all__ = ["LEAST_PAIRS", "Estimate", "Judgement", "Timing", "Verdict", "estimate", "judge", "p_above"]

Values = np.ndarray[tuple[int], np.dtype[np.float64]]
Verdict = Literal["slower", "not slower", "cannot tell"]
LEVEL = 0.95  # of the two-sided interval that is shown; its lower bound alone errs half as often as the two together
LEAST_PAIRS = 8
RESAMPLES = 10_000


@dataclass(frozen=True)
class Timing:
    """The result of one model's pairs: `head` ÷ base, and `same`, the base's second process ÷ its first, as logs."""

    head: tuple[float, ...]
    same: tuple[float, ...]


@dataclass(frozen=True)
class Estimate:
    """A ratio of times with its 95% interval."""

    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Judgement:
    """The judgement of one model's times; `limit` is the ratio that the interval's lower bound must exceed."""

    estimate: Estimate
    floor: Estimate
    limit: float
    p_holm: float | None
    verdict: Verdict


def estimate(log_ratios: Sequence[float]) -> Estimate:
    r"""Return the geometric mean ratio, and its interval by the bootstrap-t over pairs.

    :math:`\bar x - t^*_{0.975}\, s/\sqrt n` to :math:`\bar x - t^*_{0.025}\, s/\sqrt n`, with :math:`t^*` the
    quantiles of the studentised mean over resamples. The plain percentile bootstrap is too narrow for so few pairs:
    for 8 normal values it covers 90% instead of 95%.

    Efron & Tibshirani (1993), An introduction to the bootstrap, section 12.5. https://doi.org/10.1201/9780429246593
    """
    values, mean, error = _moments(log_ratios)
    if error == 0:
        return Estimate(math.exp(mean), math.exp(mean), math.exp(mean))
    low, high = np.quantile(_studentised(tuple(values)), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(math.exp(mean), math.exp(mean - high * error), math.exp(mean - low * error))


def p_above(log_ratios: Sequence[float], limit: float) -> float:
    """Return the one-sided p-value of "the ratio is at most `limit`", by the same bootstrap.

    It is below (1 − 0.95) / 2 if the interval's lower bound is above `limit`.
    """
    values, mean, error = _moments(log_ratios)
    distance = mean - math.log(limit)
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    beyond = int((_studentised(tuple(values)) >= distance / error).sum())
    return (beyond + 1) / (RESAMPLES + 1)


def judge(timings: Sequence[Timing], threshold: float) -> list[Judgement]:
    """Judge the models of one run, Holm-corrected over those on which the machine can decide.

    Args:
        timings: one per model.
        threshold: the slow-down that matters, such as 0.05.

    Returns:
        "cannot tell" if the noise floor, the farther end of the interval of base ÷ base, exceeds the threshold;
        "slower" if the corrected lower bound of head ÷ base exceeds both; else "not slower".
    """
    floors = [estimate(timing.same) for timing in timings]
    noise = [max(floor.high, 1 / floor.low) - 1 for floor in floors]
    tells = [level <= threshold for level in noise]
    limits = [1 + max(threshold, level) for level in noise]
    p_values = [
        p_above(timing.head, limit) if told else None
        for timing, limit, told in zip(timings, limits, tells, strict=True)
    ]
    corrected = iter(holm([p for p in p_values if p is not None]))
    judgements = []
    for timing, floor, limit, told in zip(timings, floors, limits, tells, strict=True):
        p = next(corrected) if told else None
        verdict: Verdict = "cannot tell" if p is None else "slower" if p < (1 - LEVEL) / 2 else "not slower"
        judgements.append(Judgement(estimate(timing.head), floor, limit, p, verdict))
    return judgements


def _moments(log_ratios: Sequence[float]) -> tuple[Values, float, float]:
    values = np.asarray(log_ratios, dtype=np.float64)
    if len(values) < 2:
        raise ValueError(f"an interval needs at least two pairs, not {len(values)}")
    return values, float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))


@functools.lru_cache(maxsize=64)
def _studentised(values: tuple[float, ...]) -> Values:
    """Return the studentised means of resamples; a resample that repeats one value counts as infinitely far."""
    # The seed is fixed: the same times give the same verdict.
    rows = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    drawn = np.asarray(values)[rows]
    shift = drawn.mean(axis=1) - np.mean(values)
    error = drawn.std(axis=1, ddof=1) / math.sqrt(len(values))
    flat = error <= 1e-12 * (1 + np.abs(drawn).max(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Values = np.where(flat, np.sign(shift) * np.inf, shift / error)
    return found
