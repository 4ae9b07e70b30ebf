"""`kad`: the squared maximum mean discrepancy under a Gaussian kernel as wide as the data, unbiased."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.constants import KAD_FACTOR, KAD_ITEMS
from genbench.metrics.features import limited
from genbench.metrics.not_measurable import NotMeasurable
from genbench.metrics.rbf import KernelRows, kernel_rows

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["kernel_audio_distance", "measure", "median_distance", "median_rows"]


def kernel_audio_distance(samples: Tensor, reference: Tensor, *, seed: int = 0) -> float:
    """Return 100 times the unbiased estimate of the squared MMD, with the bandwidth taken from the reference.

    The estimate is that of `kernel_distance`, with `k(x, y) = exp(−|x − y|²/(2 σ²))` and σ = `median_distance`. For
    equal distributions its mean is 0, so half of the time it is negative.

    Paper: Chung et al. 2025, "KAD: no more FAD! An effective and efficient evaluation metric for audio generation",
    https://arxiv.org/abs/2502.15602

    Args:
        samples: (M, d) features, M ≥ 2.
        reference: (N, d) features of the data, N ≥ 2.
        seed: seeds the choice of the reference features whose median distance is taken.

    Raises:
        NotMeasurable: at least half of the reference's distances are 0.

    Example:
        >>> round(kernel_audio_distance(torch.tensor([[5.0], [6.0]]), torch.tensor([[0.0], [1.0]])), 3)
        121.289
    """
    return KAD_FACTOR * kernel_rows(samples, reference, _width(median_distance(reference, seed=seed))).unbiased


def median_distance(features: Tensor, *, items: int = KAD_ITEMS, seed: int = 0) -> float:
    """Return the median distance between two rows of (N, d) features, N ≥ 2, over at most `items` random rows.

    >>> median_distance(torch.tensor([[0.0], [1.0], [5.0]]))
    4.0
    """
    among = limited(features, items, seed).double()
    return float(torch.pdist(among).median())


def median_rows(evidence: Evidence) -> KernelRows:
    """The sums of the kernel over the evidence's features."""
    statistics, reference = evidence.statistics, evidence.reference

    def find() -> Tensor:
        return torch.tensor(median_distance(reference, seed=evidence.seed), dtype=torch.float64)

    width = _width(float(statistics.kept("kad_bandwidth", find)))
    return kernel_rows(evidence.samples, reference, width, partial(statistics.kept, "kad_sum"))


def measure(evidence: Evidence) -> dict[str, float]:
    """`kad` of the samples."""
    return {"kad": KAD_FACTOR * evidence.once(median_rows).unbiased}


def _width(distance: float) -> float:
    if distance == 0:
        raise NotMeasurable("kad: half of the data's pairs are equal, so its kernel has no width")
    return distance
