"""Intervals and tests with raters as the unit, because the answers of one person are correlated."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from genbench.aggregate.strata import share_interval
from genbench.records.intervals import p_of, quantile

__all__ = ["DRAWS", "LEAST_RATERS", "Interval", "mean_interval", "mean_p", "percentiles", "resamples", "share"]

Array = NDArray[np.float64]

DRAWS = 2000
LEAST_RATERS = 5
"""Fewer give no interval: there are only 35 distinct resamples of four people."""

_NOTHING = 1e-12  # smaller differences are rounding errors of sums


@dataclass(frozen=True)
class Interval:
    """A value with the ends of its 95% interval, which are None if too few raters answered, or none of them differ."""

    value: float
    low: float | None
    high: float | None

    def holds(self, value: float) -> bool:
        """Return whether the interval is known and contains a value."""
        return self.low is not None and self.high is not None and self.low <= value <= self.high


@functools.lru_cache(maxsize=8)
def resamples(raters: int, seed: int, draws: int = DRAWS) -> Array:
    """Return how often each rater is drawn in each bootstrap resample of raters, (draws, raters)."""
    generator = np.random.Generator(np.random.PCG64([seed, raters]))
    return generator.multinomial(raters, np.full(raters, 1 / raters), size=draws).astype(np.float64)


def percentiles(value: float, drawn: Array, left_out: Array) -> Interval:
    r"""Return the interval of a statistic from its bootstrap over raters: accelerated and expanded percentiles.

    Plain percentiles are too narrow for few clusters, by :math:`\sqrt{(R - 1) / R}` and by using z instead of t; here
    they extend to :math:`\pm\sqrt{R / (R - 1)}\, t_{0.975, R - 1}` deviations. They also do not follow the skew of a
    statistic, such as a rate near 0; here they are shifted by BCa's acceleration a, from the jackknife, and the bias
    correction is also set to a, its value for a mean.

    Efron (1987), Better bootstrap confidence intervals, https://doi.org/10.1080/01621459.1987.10478410
    Hesterberg (2015), What teachers should know about the bootstrap, section 5.3,
    https://doi.org/10.1080/00031305.2015.1089789

    Args:
        value: the statistic on all raters.
        drawn: the statistic on each resample; values that are not finite are dropped.
        left_out: the statistic without each rater in turn, (R,). If all are equal, resamples of raters cannot tell how
            uncertain the statistic is, and there is no interval.
    """
    known, raters = drawn[np.isfinite(drawn)], len(left_out)
    if raters < LEAST_RATERS or not known.size or not math.isfinite(value) or np.ptp(left_out) <= _NOTHING:
        return Interval(value, None, None)
    reach = math.sqrt(raters / (raters - 1)) * quantile(raters - 1)
    moved = left_out.mean() - left_out
    spread = float((moved**2).sum())
    shift = float((moved**3).sum()) / (6 * spread**1.5)
    ends = [shift + (shift + side) / (1 - shift * (shift + side)) for side in (-reach, reach)]
    low, high = np.quantile(known, special.ndtr(ends)).tolist()
    return Interval(value, min(low, value), max(high, value))


def mean_interval(values: Array, seed: int) -> Interval:
    """Return the mean over raters, (raters,), with its interval."""
    count = len(values)
    value = float(values.mean())
    if count < LEAST_RATERS:
        return Interval(value, None, None)
    return percentiles(value, resamples(count, seed) @ values / count, (values.sum() - values) / (count - 1))


def share(values: Array, answers: int, seed: int) -> Interval:
    """Return the mean of the raters' shares with its interval; if all agree, the interval of one share of all answers.

    If no two raters differ, the bootstrap has no width, and Wilson's interval is used.

    Args:
        values: one share per rater, (raters,).
        answers: total number over all raters.
        seed: of the bootstrap.
    """
    found = mean_interval(values, seed)
    if len(values) < LEAST_RATERS or np.ptp(values) > _NOTHING:
        return found
    return Interval(found.value, *share_interval(min(1.0, max(0.0, found.value)), answers))


def mean_p(values: Array) -> float:
    """Return the two-sided p-value of a t-test that the mean over raters is 0; 1 with too few raters.

    If all raters have the same non-zero value, it is the p-value of a sign test: 2 to the power of 1 - raters.
    """
    count = len(values)
    if count < LEAST_RATERS:
        return 1.0
    if np.ptp(values) <= _NOTHING:
        return 1.0 if abs(values[0]) <= _NOTHING else 2.0 ** (1 - count)
    return p_of(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(count), count - 1)
