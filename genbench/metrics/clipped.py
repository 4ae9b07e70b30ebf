"""Clipped density and coverage: bounded versions of density and coverage, calibrated as shares of good samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.constants import BALL_K

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["clipped_coverage", "clipped_density", "expected_clipped_coverage", "fidelities", "measure"]


def clipped_density(balls: Tensor, of_data: Tensor, k: int = BALL_K) -> float:
    """Return `min(1, mean_i min(b_i/k, 1) / mean_j min(a_j/k, 1))`: how deep samples lie in the data, relative to data.

    b_i counts the clipped balls around data points that contain sample i, and a_j those around other data points that
    contain data point j. A clipped ball's radius is the distance to the k-th nearest other point, at most the median of
    these distances.

    Paper: Salvy, Talbot & Thirion 2025, "Enhanced generative model evaluation with clipped density and coverage",
    https://arxiv.org/abs/2507.01761

    Args:
        balls: (M,) int64 b_i.
        of_data: (N,) int64 a_j.
        k: which neighbour sets a ball's radius.

    Returns:
        From 0 to 1.

    Example:
        >>> clipped_density(torch.tensor([9, 0]), torch.tensor([5, 5, 2, 8]))
        0.5882352941176471
    """
    return min(1.0, float(fidelities(balls, k).mean() / fidelities(of_data, k).mean()))


def fidelities(balls: Tensor, k: int = BALL_K) -> Tensor:
    """Return (N,) float64 `min(b/k, 1)`.

    >>> fidelities(torch.tensor([0, 2, 9])).tolist()
    [0.0, 0.4, 1.0]
    """
    return balls.double().clamp(max=k) / k


def clipped_coverage(held: Tensor, samples: int, k: int = BALL_K) -> float:
    """Return the share of good samples that would cover as much, were all other samples to cover nothing.

    Coverage is `mean_j min(h_j/k, 1)`, where h_j is the number of samples nearer to data point j than its k-th nearest
    other. Of m samples from the data's own distribution it is expected to be `f(m)`, see `expected_clipped_coverage`;
    the share is the number of m from 0 to M whose `f(m)` lies below the coverage, over M + 1.

    Paper: as for `clipped_density`.

    Args:
        held: (N,) int64 h_j.
        samples: M.
        k: which neighbour sets a ball's radius.

    Returns:
        From 0 to 1; any coverage above `f(M)` gives 1, which samples from the data's distribution reach half the time.

    Example:
        >>> clipped_coverage(torch.zeros(10, dtype=torch.int64), 10), clipped_coverage(torch.full((10,), 5), 10)
        (0.0, 1.0)
    """
    expected = expected_clipped_coverage(samples, len(held), k)
    covered = fidelities(held, k).mean()
    return int(torch.searchsorted(expected, covered.cpu())) / (samples + 1)


def expected_clipped_coverage(samples: int, reference: int, k: int = BALL_K) -> Tensor:
    """Return (M + 1,) float64: the expected coverage of m = 0 … M samples from the data's own distribution.

    `f(m) = 1 − Σ_{j<k} (1 − j/k) C(m, j) B(k + j, N − k + m − j)/B(k, N − k)`: the number of m samples in a ball is
    beta-binomial, whatever the distribution.

    Paper: as for `clipped_density`. Its authors' code returns 0 for m < k, where this follows the formula.

    Args:
        samples: M.
        reference: N, above k.
        k: which neighbour sets a ball's radius.

    Example:
        >>> [round(value, 4) for value in expected_clipped_coverage(2, 6, k=1).tolist()]
        [0.0, 0.1667, 0.2857]
    """
    m = torch.arange(samples + 1, dtype=torch.float64)
    missed = torch.zeros_like(m)
    # The probability of j samples from that of j − 1: a ratio of small numbers, so no digits are lost.
    i = torch.arange(k, dtype=torch.float64)
    chance = ((reference - 1 - i) / (reference - 1 - i + m[:, None])).prod(dim=1)
    for j in range(k):
        missed += (1 - j / k) * chance
        chance = chance * (m - j) * (k + j) / ((j + 1) * (reference - k + m - j - 1).clamp(min=1))
    return (1 - missed).clamp(min=0)


def measure(evidence: Evidence) -> dict[str, float]:
    """`clipped_density` and `clipped_coverage` of the samples."""
    pairs = evidence.cross_pairs
    return {
        "clipped_density": clipped_density(pairs.clipped_balls, evidence.statistics.clipped_balls),
        "clipped_coverage": clipped_coverage(pairs.held, len(evidence.compared)),
    }
