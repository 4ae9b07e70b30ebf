"""The interval of a ratio of two means, which includes the spread of its denominator."""

from __future__ import annotations

import math
from collections.abc import Sequence

from genbench.records.intervals import Mean, bisected, independent_half_width, moments, quantile

__all__ = ["relative_interval"]


def relative_interval(new: Sequence[float], base: Sequence[float], *, paired: bool) -> tuple[float, float] | None:
    r"""Return the 95% interval of the change of the mean, as a share of the size of BASE's mean.

    Fieller's: all ratios r for which the mean of :math:`y - r x` cannot be told from 0, with y from NEW and x from
    BASE. If `paired` (values at the same position belong together), by the t test of those n differences, which is
    exact for normal values; otherwise by the test of two independent means at each r. The interval therefore excludes
    "no change" exactly where the difference of the means does. Dividing the interval of a difference by BASE's mean
    ignores that mean's own spread: for four times the value it covers 69 to 90%.

    Fieller (1954), Some problems in interval estimation, https://doi.org/10.1111/j.2517-6161.1954.tb00159.x

    Args:
        new: at least two values, one per training seed.
        base: likewise.

    Returns:
        Its two ends; None where BASE's own 95% interval contains 0, since then no bounded set of ratios has coverage.

    Example:
        >>> low, high = relative_interval([19.0, 22.0, 25.0], [18.0, 20.0, 22.0], paired=True)
        >>> f"{low:+.3f} to {high:+.3f}"
        '-0.032 to +0.180'
    """
    of_base = Mean.of(base)
    scale = abs(of_base.mean)
    if scale <= quantile(of_base.n - 1) * math.sqrt(of_base.variance):
        return None
    # In units of BASE's mean, which is then 1, and a ratio to it has the sign of the change.
    y, x = [value / scale for value in new], [value / of_base.mean for value in base]
    low, high = _of_pairs(y, x) if paired else _independent(Mean.of(y), Mean.of(x))
    shift = math.copysign(1.0, of_base.mean)
    return low - shift, high - shift


def _of_pairs(y: Sequence[float], x: Sequence[float]) -> tuple[float, float]:
    """Solve (ȳ − r)² = t² Var(y − r x) / n for r; the mean of `x` is 1."""
    n = len(x)
    ratio = moments(y)[0]
    t_squared = quantile(n - 1) ** 2 / n
    # From the residuals at the ratio itself: differences of variances would lose what the two sides share.
    residuals = [one - ratio * other for one, other in zip(y, x, strict=True)]
    spread, g = moments(residuals)[1], t_squared * moments(x)[1]
    shared = _covariance(residuals, x)
    lift = t_squared * shared
    half = math.sqrt(max(0.0, t_squared * spread * (1 - g) + lift**2))
    return ratio - (lift + half) / (1 - g), ratio - (lift - half) / (1 - g)


def _independent(y: Mean, x: Mean) -> tuple[float, float]:
    """Search outwards from the ratio until its test rejects; the mean of `x` is far from 0, so it eventually does."""

    def holds(ratio: float) -> bool:
        return abs(y.mean - ratio) <= independent_half_width(y, Mean(ratio, ratio**2 * x.variance, x.n))

    step = independent_half_width(y, Mean(y.mean, y.mean**2 * x.variance, x.n))
    ends = []
    for direction in (-1.0, 1.0):
        inside, reach = y.mean, direction * step
        while reach and holds(y.mean + reach):
            inside, reach = y.mean + reach, 2 * reach
        ends.append(bisected(holds, inside, y.mean + reach))
    return ends[0], ends[1]


def _covariance(x: Sequence[float], y: Sequence[float]) -> float:
    (x_mean, _), (y_mean, _) = moments(x), moments(y)
    return math.fsum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True)) / (len(x) - 1)
