"""Student's intervals for the mean of a few values and for the difference of two independent means."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy import special

__all__ = ["LEVEL", "Mean", "bisected", "independent_half_width", "independent_p", "moments", "p_of", "quantile"]

LEVEL = 0.95
_TOLERANCE = 1e-10

# The most values of the other side with which Welch's interval still covers 93%, by the number of the smaller side.
_WELCH_UP_TO = {2: 2, 3: 6}


@dataclass(frozen=True)
class Mean:
    """A mean of `n` independent values, with its squared standard error."""

    mean: float
    variance: float
    n: int

    @staticmethod
    def of(values: Sequence[float]) -> Mean:
        """Return the mean of the values."""
        mean, variance = moments(values)
        return Mean(mean, variance / len(values), len(values))


def moments(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and sample variance (ddof = 1; 0 for a single value)."""
    # Plain floats: over a handful of seeds an array costs ten times its arithmetic, and ranking visits every pair.
    # The mean of equal values is exactly that value: rounding must not give a deterministic model a spread.
    first, n = values[0], len(values)
    shifted = [value - first for value in values]
    shift = math.fsum(shifted) / n
    return first + shift, math.fsum((value - shift) ** 2 for value in shifted) / max(n - 1, 1)


@functools.lru_cache(maxsize=4096)  # a report needs the same few degrees of freedom thousands of times
def quantile(freedom: float) -> float:
    """Return the quantile of Student's t for a two-sided 95% interval."""
    return float(special.stdtrit(freedom, (1 + LEVEL) / 2))


def p_of(distance: float, error: float, freedom: float) -> float:
    """Return the two-sided p-value of a difference `distance` with this standard error (above 0)."""
    return float(2 * special.stdtr(freedom, -abs(distance) / error))


def independent_half_width(first: Mean, second: Mean) -> float:
    r"""Return the half-width of the 95% interval of the difference of two independent means.

    Welch's, with :math:`\nu = (a + b)^2 / (a^2/(n_1-1) + b^2/(n_2-1))` degrees of freedom for the squared standard
    errors a and b. For two values against more, and three against seven or more, the sides are too unequal: coverage
    drops to 88% where the smaller side varies more. There the interval is Banerjee's,
    :math:`\sqrt{t_{n_1-1}^2 a + t_{n_2-1}^2 b}`, which covers at least 95% whatever the two variances are, and up to
    99% if they are equal.

    Welch (1947), The generalization of "Student's" problem, https://doi.org/10.1093/biomet/34.1-2.28
    Banerjee (1960), Approximate confidence interval for linear functions of means of k populations when the population
    variances are not equal, Sankhyā 22, 357-358, https://www.jstor.org/stable/25048472
    """
    if _unequal(first.n, second.n):
        return math.hypot(*(quantile(side.n - 1) * math.sqrt(side.variance) for side in (first, second)))
    error, freedom = _welch(first, second)
    return quantile(freedom) * error if error else 0.0


def independent_p(first: Mean, second: Mean) -> float:
    """Return the two-sided p-value of that difference: below 0.05 exactly where the interval excludes 0."""
    distance = abs(first.mean - second.mean)
    error, freedom = _welch(first, second)
    if error == 0:
        return 1.0 if distance == 0 else 0.0
    if not _unequal(first.n, second.n):
        return p_of(distance, error, freedom)

    def covers(p: float) -> bool:
        reach = (special.stdtrit(side.n - 1, p / 2) * math.sqrt(side.variance) for side in (first, second))
        return math.hypot(*reach) >= distance

    return bisected(covers, 0.0, 1.0)


def bisected(holds: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return the point between `inside`, where it holds, and `outside`, where it does not, to 10 digits."""
    while abs(outside - inside) > _TOLERANCE * max(abs(inside), abs(outside)):
        middle = (inside + outside) / 2
        if holds(middle):
            inside = middle
        else:
            outside = middle
    return inside


def _unequal(n: int, m: int) -> bool:
    return max(n, m) > _WELCH_UP_TO.get(min(n, m), math.inf)


def _welch(first: Mean, second: Mean) -> tuple[float, float]:
    a, b = first.variance, second.variance
    if a + b == 0:
        return 0.0, math.inf
    # Dividing by the sum first keeps the squares of very small variances from underflowing.
    shares = (a / (a + b)) ** 2 / (first.n - 1) + (b / (a + b)) ** 2 / (second.n - 1)
    return math.sqrt(a + b), 1 / shares
