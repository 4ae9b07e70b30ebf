"""When the curve of a number turned for the worse and never recovered: a rule that noise alone seldom triggers."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from genbench.records.statistics import Direction

__all__ = ["LEAST_POINTS", "Turn", "turn"]

LEAST_POINTS = 4
ERRORS = 4.0  # how many deviations of a known noise below the best counts as worse


@dataclass(frozen=True)
class Turn:
    """A curve that turned.

    Args:
        best: the position of its best point.
        since: the first position from which every point is worse than the best by more than the noise.
    """

    best: int
    since: int


def turn(values: Sequence[float], direction: Direction, error: float = 0.0) -> Turn | None:
    """Return where a curve turned for the worse for good; None if it did not, or has fewer than four points.

    It turned where its last two points, or more, are worse than its best one by more than 4 + 14/(n - 3) times its
    noise. The noise is the (lower) median of the absolute differences between successive points, leaving out the
    descent at the start except its last step, and the largest of the rest, because those are what training and a
    collapse do.

    Of curves whose level does not change and whose n points scatter independently and normally, 2 to 4% are called, for
    n from 4 to 50; of those that fall or converge under the same noise, at most 1.5%. Of curves that fall from 700 to
    24 and then stay at 300, 93% or more are called from 6 points up, and a third of those with 4 points. With the
    median of all differences, at the same rate of false calls, it would be 25% of those with 6 points and none with 4.
    Noise that drifts from point to point does not meet these assumptions.

    Args:
        values: (n,) in the order of training, finite.
        direction: which way is better.
        error: a lower bound on the noise's deviation, such as the standard error of one evaluation.

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
    limit = worse[best] + margin + 1e-9 * max(map(abs, worse))  # the difference of 0.9 and 0.8 is not quite 0.1
    near = max(place for place, value in enumerate(worse) if value <= limit)
    return Turn(best, near + 1) if near < len(worse) - 2 else None


def _noise(worse: Sequence[float]) -> float:
    steps = [later - earlier for earlier, later in itertools.pairwise(worse)]
    descent = sum(1 for _ in itertools.takewhile(lambda step: step < 0, steps))
    kept = sorted(map(abs, steps[max(0, descent - 1) :]))
    return statistics.median_low(kept[:-1] or kept)
