"""A number on a scale shared by all datasets: 0 at the control `gaussian`, 1 at `real`, linear in its logarithm."""

from __future__ import annotations

import math
from dataclasses import dataclass

from genbench.records.statistics import Direction

__all__ = ["Anchors", "ONE", "ZERO"]

ZERO = ("gaussian", "ngram")
"""The control at 0: the first of these that was measured; `ngram` is for texts what `gaussian` is for images."""

ONE = "real"
"""The control at 1."""


@dataclass(frozen=True)
class Anchors:
    r"""Two controls' values of one number on one dataset, and the score of a model between them.

    :math:`s(d) = \log(d_0 / d) / \log(d_0 / d_1)`, with :math:`d_0` from the control at 0 and :math:`d_1` from the one
    at 1. It is below 0 for values worse than the first and above 1 for values better than the second, is unbounded, and
    does not depend on the unit of the number. All three values must be above 0.

    Args:
        zero: value of the control at 0.
        one: value of the control at 1.
        direction: whether `lower` or `higher` is better.

    Example:
        >>> anchors = Anchors(zero=8.0, one=0.5, direction="lower")
        >>> [anchors.score(distance) for distance in (8.0, 2.0, 0.5, 0.25)]
        [0.0, 0.5, 1.0, 1.25]
    """

    zero: float
    one: float
    direction: Direction

    @property
    def fault(self) -> str | None:
        """Why there is no scale between the two, as the end of a sentence; None where there is one."""
        if not (math.isfinite(self.zero) and math.isfinite(self.one)):
            return "one of its controls has no number"
        if min(self.zero, self.one) <= 0:
            return "one of its controls is not above 0, so it has no logarithm"
        better = self.one < self.zero if self.direction == "lower" else self.one > self.zero
        return None if better else "the control at 1 is not better than the one at 0"

    def score(self, value: float) -> float:
        """Return the score of a value; NaN where it is infinite or not above 0, or where the anchors have a `fault`."""
        if self.fault or not 0 < value < math.inf:
            return math.nan
        return math.log(self.zero / value) / math.log(self.zero / self.one) + 0.0  # turns -0.0 into 0
