"""The uncertainty of a mean over datasets, each of which has a few seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy import special

from genbench.records.intervals import Mean, p_of, quantile

__all__ = ["Estimate", "Strata", "freedom", "share_interval", "stratified"]

Strata = Mapping[str, Sequence[float]]
"""Dataset -> the scores of one model on it, one per training seed."""


@dataclass(frozen=True)
class Estimate:
    """A number with the half-width of its 95% interval and its two-sided p-value against 0.

    Both are None if any dataset has a single seed, which says nothing about the spread between seeds.
    """

    value: float
    half_width: float | None
    p: float | None = None


def stratified(parts: Iterable[tuple[float, Mean]]) -> Estimate:
    r"""Return a weighted sum of independent means, :math:`\sum w_i m_i`, with its t interval.

    Its squared error is :math:`\sum w_i^2 v_i`, where v_i is the squared standard error of the i-th mean; the degrees
    of freedom are Satterthwaite's (`freedom`).

    Args:
        parts: pairs of weight w_i and mean.
    """
    known = list(parts)
    value = math.fsum(weight * mean.mean for weight, mean in known)
    if any(mean.n < 2 for _, mean in known):
        return Estimate(value, None)
    variances = [weight**2 * mean.variance for weight, mean in known]
    total = math.fsum(variances)
    if total == 0:
        return Estimate(value, 0.0, 1.0 if value == 0 else 0.0)
    degrees, error = freedom(variances, [mean.n for _, mean in known]), math.sqrt(total)
    return Estimate(value, quantile(degrees) * error, p_of(value, error, degrees))


def freedom(variances: Sequence[float], counts: Sequence[int]) -> float:
    r"""Return the degrees of freedom of a sum of variances, :math:`V^2 / \sum v_i^2 / (n_i - 1)`.

    They lie between those of the smallest part and the sum of all parts; if nothing varies, they are those of the
    smallest part.

    Satterthwaite (1946), An approximate distribution of estimates of variance components,
    https://doi.org/10.2307/3002019

    >>> freedom([1.0, 1.0], [3, 3])
    4.0
    """
    total = math.fsum(variances)
    if total == 0:
        return float(min(counts) - 1)
    return 1 / math.fsum((part / total) ** 2 / (n - 1) for part, n in zip(variances, counts, strict=True))


def share_interval(share: float, count: float) -> tuple[float, float]:
    r"""Return Wilson's 95% interval of a share whose variance is at most :math:`p (1 - p) / n`.

    Its width is positive even at 0 and 1, where any estimate of the variance from the values is 0. Because p (1 − p) is
    concave, the mean of k shares of n/k values each varies no more than one share of n values, so for such a mean the
    interval is conservative.

    Wilson (1927), Probable inference, the law of succession, and statistical inference,
    https://doi.org/10.1080/01621459.1927.10502953

    >>> [round(end, 3) for end in share_interval(1.0, 15)]
    [0.796, 1.0]
    """
    z = float(special.ndtri(0.975))
    shrink = 1 + z**2 / count
    middle = (share + z**2 / (2 * count)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return max(0.0, middle - half), min(1.0, middle + half)
