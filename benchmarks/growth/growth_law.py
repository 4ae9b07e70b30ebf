"""Whether a larger point is worth its time, judged by how the smaller ones grew."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["expected_s", "passes"]


def expected_s(known: Sequence[tuple[int, float]], size: int) -> float:
    """Return the seconds of a point of `size` from the last two (size, seconds): at least linear, at most quadratic.

    Before there are two, nothing is known and 0 is returned: a cost independent of the size may be all of the first.

    >>> expected_s([(100, 1.0), (200, 4.0)], 400)
    16.0
    """
    if len(known) < 2:
        return 0.0
    (before, fewer), (last, seconds) = known[-2:]
    power = min(2.0, max(1.0, math.log(seconds / fewer) / math.log(last / before)))
    return seconds * (size / last) ** power


def passes(known: Sequence[tuple[int, float]], size: int, limit_s: float) -> str:
    """Return why a point is left out, or an empty text if it fits the limit."""
    expected = expected_s(known, size)
    return f"about {expected:,.0f} s, more than {limit_s:,.0f} s" if expected > limit_s else ""
