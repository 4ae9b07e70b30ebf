"""Precision and recall: the share of samples inside the data's manifold, and of the data inside the samples'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.neighbours import BYTE_BUDGET, TIE, Block, nearest_neighbours, sweep
from genbench.metrics.table import MANIFOLD_K

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["Manifolds", "measure", "precision_recall"]


class Manifolds:
    """Observer of samples against reference: which points lie in a ball around some point of the other side.

    A ball includes its surface, as in the paper.

    Args:
        sample_radii: (M,) float64 distances of each sample to its k-th nearest other sample.
        reference_radii: (N,) the same within the reference.
    """

    def __init__(self, sample_radii: Tensor, reference_radii: Tensor) -> None:
        self._sample_limits = sample_radii.square() * (1 + TIE)
        self._reference_limits = reference_radii.square() * (1 + TIE)
        self.sample_inside = torch.zeros(len(sample_radii), dtype=torch.bool, device=sample_radii.device)
        self.reference_inside = torch.zeros(len(reference_radii), dtype=torch.bool, device=reference_radii.device)

    def observe(self, block: Block) -> None:
        in_reference_ball = block.squared <= self._reference_limits[block.columns]
        self.sample_inside[block.rows] |= in_reference_ball.any(dim=1)
        in_sample_ball = block.squared <= self._sample_limits[block.rows, None]
        self.reference_inside[block.columns] |= in_sample_ball.any(dim=0)


def precision_recall(
    samples: Tensor, reference: Tensor, *, k: int = MANIFOLD_K, byte_budget: int = BYTE_BUDGET
) -> tuple[float, float]:
    """Return (precision, recall) of k-nearest-neighbour manifolds.

    The manifold of a set is the union of balls around its points, each as wide as the distance to the k-th nearest
    other point. Precision is the share of samples inside the reference's manifold, recall the share of the reference
    inside the samples'. Both in [0, 1], and both grow with the counts, so these must be equal to compare; one outlier
    in a set widens its manifold.

    Paper: Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models",
    https://arxiv.org/abs/1904.06991

    Args:
        samples: (M, d) features, M > k.
        reference: (N, d) features of the data, N > k.
        k: which neighbour sets a ball's radius.
        byte_budget: for the blocks.

    Example:
        >>> data = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
        >>> precision_recall(torch.tensor([[0.5], [1.5]]), data, k=1)
        (1.0, 0.75)
    """
    manifolds = Manifolds(
        nearest_neighbours(samples, samples, k, byte_budget)[0][:, -1],
        nearest_neighbours(reference, reference, k, byte_budget)[0][:, -1],
    )
    sweep(samples, reference, [manifolds], byte_budget)
    return float(manifolds.sample_inside.double().mean()), float(manifolds.reference_inside.double().mean())


def measure(evidence: Evidence) -> dict[str, float]:
    """`precision` and `recall` of the samples."""
    pairs = evidence.cross_pairs
    return {
        "precision": float(pairs.sample_inside.double().mean()),
        "recall": float(pairs.reference_inside.double().mean()),
    }
