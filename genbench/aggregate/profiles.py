"""Performance profiles: which share of a model's runs scores above each threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbench.aggregate.strata import Strata, share_interval

__all__ = ["Profile", "profile"]


@dataclass(frozen=True)
class Profile:
    """At each of `thresholds`, the share of runs above it and the ends of its 95% interval: (T,) float64 each."""

    thresholds: NDArray[np.float64]
    shares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def profile(strata: Strata, thresholds: Sequence[float]) -> Profile:
    """Return the share of runs that score above each threshold, each dataset with the same weight.

    The band is Wilson's for as many runs as there are datasets times the fewest seeds of one. It holds at one
    threshold, at least 95% of the time, and not at all of them at once.

    Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice, section 4.2,
    https://arxiv.org/abs/2108.13264

    >>> found = profile({"a": [0.0, 1.0], "b": [1.0, 1.0]}, [-1.0, 0.5, 1.0])
    >>> found.shares.tolist()
    [1.0, 0.75, 0.0]
    """
    at = np.asarray(thresholds, dtype=np.float64)
    above = [(np.asarray(values)[:, None] > at).mean(axis=0) for values in strata.values()]
    shares = np.mean(above, axis=0)
    count = len(strata) * min(len(values) for values in strata.values())
    ends = np.array([share_interval(share, count) for share in shares.tolist()])
    return Profile(at, shares, ends[:, 0], ends[:, 1])
