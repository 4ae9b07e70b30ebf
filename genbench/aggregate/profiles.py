"""Performance profiles: the share of a model's runs that score above each threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbench.aggregate.strata import Strata, share_interval

__all__ = ["Profile", "profile"]


@dataclass(frozen=True)
class Profile:
    """The share of runs above each of `thresholds`, and the ends of its 95% interval: (T,) float64 each."""

    thresholds: NDArray[np.float64]
    shares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def profile(strata: Strata, thresholds: Sequence[float]) -> Profile:
    """Return the share of runs that score above each threshold, with equal weight for each dataset.

    The band is Wilson's interval with n set to the number of datasets times the smallest number of seeds on any of
    them. It is pointwise: it covers at least 95% of the time at a given threshold, not at all thresholds at once.

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
