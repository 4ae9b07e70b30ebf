"""How many times farther from the training data than new data: a distance over that of the control `real`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from genbench.records.intervals import Mean, quantile

__all__ = ["REAL_ABOVE_ZERO", "RealRatio", "of_real", "real_mean"]

REAL_ABOVE_ZERO = ("fid", "fd_dinov2", "fad", "fd", "class_fid", "class_fd", "mind")
"""Distances that are positive even for a finite set of real data, so that a ratio to it is meaningful."""


_NORMAL = 1.959963984540054  # the normal quantile for a two-sided 95% interval


@dataclass(frozen=True)
class RealRatio:
    """A ratio with its 95% interval; the ends are None where there is none."""

    ratio: float
    low: float | None = None
    high: float | None = None

    @property
    def below_real(self) -> bool:
        """Whether samples are nearer to the training data than new data are; being a good model does not cause that."""
        return self.ratio < 1

    @property
    def resolved(self) -> bool:
        """Whether the interval excludes 1."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def real_mean(values: Sequence[float], standard_error: float | None, count: int, held_out: int) -> Mean | None:
    r"""Return the mean of `real` over its seeds, with the squared error due to its choice of held-out items.

    Each seed draws `count` of the same `held_out` items without replacement, so the draws share items, and if a draw
    takes all items, every seed has the same number: the spread over the seeds says little. If one evaluation of the
    number has variance :math:`e^2`, the mean over n such draws has variance :math:`e^2 (m/h + (1 - m/h)/n)` around what
    new data would give: exactly for a mean over items (Cochran 1977, Sampling techniques, §2.5: the finite population
    correction), to first order for others.

    Args:
        values: of `real`, one per seed.
        standard_error: of one evaluation.
        count: samples m of one evaluation.
        held_out: items h that they were drawn from.

    Returns:
        None where there is no value above 0. Without a standard error the variance is NaN.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or Mean.of(finite).mean <= 0:
        return None
    share = min(1.0, count / held_out) if held_out else 1.0
    error = math.nan if standard_error is None else standard_error
    return Mean(Mean.of(finite).mean, error**2 * (share + (1 - share) / len(finite)), len(finite))


def of_real(values: Sequence[float], real: Mean | None) -> RealRatio | None:
    r"""Return the ratio of a model's mean to that of `real`, with the interval of its logarithm.

    The squared error of the logarithm is the sum of both sides' relative ones: the model's from its seeds, whose spread
    includes training and evaluation; that of `real` from `real_mean`. The quantile is the mean of Student's with n − 1
    degrees of freedom and the normal one, weighted by these squared errors (Cochran 1964): for true shares of the two
    from 1:900 to 25:1 it covers 94.0 to 97.9% with two seeds, 94.8 to 97.0% with three and 94.9 to 96.1% with five,
    whereas Welch's covers 87.5%, 92.2% and 94.1% at worst. The logarithm is used because a Fréchet distance near its
    floor is as skewed as a sum of squares.

    Cochran (1964), Approximate significance levels of the Behrens-Fisher test, https://doi.org/10.2307/2528326

    Yang et al. 2026 divide by the distance of held-out data to make datasets comparable; they give no interval.

    Args:
        values: of the model, one per seed.
        real: from `real_mean`.

    Returns:
        None where either mean is not above 0 (an unbiased estimate may not be). Without an interval for one seed, and
        where the error of `real` is unknown.

    Example:
        >>> found = of_real([2.0, 2.2, 2.1], Mean(0.5, 0.05**2, 3))
        >>> f"{found.ratio:.2f} ({found.low:.2f} to {found.high:.2f})"
        '4.20 (3.37 to 5.24)'
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or real is None:
        return None
    model = Mean.of(finite)
    if model.mean <= 0:
        return None
    ratio = model.mean / real.mean
    if model.n < 2 or math.isnan(real.variance):
        return RealRatio(ratio)
    seeds, evaluation = model.variance / model.mean**2, real.variance / real.mean**2
    total = seeds + evaluation
    if not total:
        return RealRatio(ratio, ratio, ratio)
    half = (seeds * quantile(model.n - 1) + evaluation * _NORMAL) / math.sqrt(total)
    return RealRatio(ratio, ratio * math.exp(-half), ratio * math.exp(half))
