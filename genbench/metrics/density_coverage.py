"""Density and coverage: variants of precision and recall that a single outlier does not move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from genbench.metrics.constants import BALL_K
from genbench.metrics.neighbours import BYTE_BUDGET, nearest_neighbours, sweep
from genbench.metrics.observers import Balls

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["density_coverage", "expected_coverage", "measure"]


def density_coverage(
    samples: Tensor, reference: Tensor, *, k: int = BALL_K, byte_budget: int = BYTE_BUDGET
) -> tuple[float, float]:
    """Return (density, coverage) of the samples.

    Each reference point has a ball whose radius is the distance to its k-th nearest other. Density is the mean number
    of balls that contain a sample, over k; coverage is the share of balls that contain a sample. Density is not bounded
    by 1, and averages 1 for samples from the data's own distribution; their coverage is `expected_coverage`. Coverage
    grows with the number of samples, so compare only at equal counts.

    Paper: Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models",
    https://arxiv.org/abs/2002.09797

    Args:
        samples: (M, d) features, M ≥ 1.
        reference: (N, d) features of the data, N > k.
        k: which neighbour sets a ball's radius.
        byte_budget: memory limit for the blocks.

    Example:
        >>> import torch
        >>> data = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
        >>> density_coverage(torch.tensor([[0.5], [1.5]]), data, k=1)
        (2.0, 0.75)
    """
    balls = Balls(len(samples), nearest_neighbours(reference, reference, k, byte_budget)[0][:, -1])
    sweep(samples, reference, [balls], byte_budget)
    return float(balls.balls.double().mean() / k), float(balls.covered.double().mean())


def expected_coverage(samples: int, reference: int, k: int = BALL_K) -> float:
    """Return the mean coverage of samples of the data's own distribution: `1 − ∏_{j=1..k} (N − j)/(N + M − j)`.

    One minus the probability that none of M samples is among the k nearest of N − 1 + M exchangeable points. Holds for
    any distribution.

    >>> round(expected_coverage(1000, 1000), 5)
    0.96898
    """
    missed = 1.0
    for j in range(1, k + 1):
        missed *= (reference - j) / (samples + reference - j)
    return 1 - missed


def measure(evidence: Evidence) -> dict[str, float]:
    """`density` and `coverage` of the samples."""
    pairs = evidence.cross_pairs
    return {
        "density": float(pairs.balls.double().mean() / BALL_K),
        "coverage": float(pairs.covered.double().mean()),
    }
