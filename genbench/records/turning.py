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
ERRORS = 4.0  # how many deviations of a known noise below the best is worse


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

    It turned where its last two points, or more, are worse than its best one by more than 4 + 14/(n - 3) times its
    noise: the median (the lower one) of the differences of successive points, without their signs, the descent at the
    start but for its last step and the largest of the rest left out, since these are what training and a collapse do.

    Of curves whose level does not change and whose n points scatter independently and normally, 2 to 4% are called, for
    n from 4 to 50; of those that fall or converge under the same noise, at most 1.5%. Of curves that fall from 700 to
    24 and then stand at 300, 93% or more are called from 6 points on, and a third of those of 4 points. With the median
    of all differences, held to the same rate, it would be 25% of those of 6 points and none of 4. Noise that drifts
    from point to point is not such noise.

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
    margin = (4 + 14 / (len(worse) - 3)) * _noise(worse)
    if not math.isnan(error):
        margin = max(margin, ERRORS * error)
    limit = worse[best] + margin + 1e-9 * max(map(abs, worse))  # of 0.9 and 0.8, the difference is not quite 0.1
    near = max(place for place, value in enumerate(worse) if value <= limit)
    return Turn(best, near + 1) if near < len(worse) - 2 else None


def _noise(worse: Sequence[float]) -> float:
    steps = [later - earlier for earlier, later in itertools.pairwise(worse)]
    descent = sum(1 for _ in itertools.takewhile(lambda step: step < 0, steps))
    kept = sorted(map(abs, steps[max(0, descent - 1) :]))
    return statistics.median_low(kept[:-1] or kept)
