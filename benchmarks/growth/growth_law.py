"""Whether a larger point is worth its time, by how the smaller ones grew."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["expected_s", "passes"]


def expected_s(known: Sequence[tuple[int, float]], size: int) -> float:
    """Return the seconds of a point of `size` by the last two (size, seconds): at least linear, at most quadratic.

    >>> expected_s([(100, 1.0), (200, 4.0)], 400)
    16.0
    """
    if not known:
        return 0.0
    last, seconds = known[-1]
    power = 1.0  # of one point nothing is known: what is worse shows at the next
    if len(known) > 1:
        before, fewer = known[-2]
        power = min(2.0, max(1.0, math.log(seconds / fewer) / math.log(last / before)))
    return seconds * (size / last) ** power


def passes(known: Sequence[tuple[int, float]], size: int, limit_s: float) -> str:
    """Return why a point is left out, or an empty text where it fits the limit."""
    expected = expected_s(known, size)
    return f"about {expected:,.0f} s, more than {limit_s:,.0f} s" if expected > limit_s else ""
