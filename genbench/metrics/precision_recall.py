"""Precision and recall: the share of samples inside the data's manifold, and of the data inside the samples'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from genbench.metrics.constants import MANIFOLD_K
from genbench.metrics.neighbours import BYTE_BUDGET, nearest_neighbours, sweep
from genbench.metrics.observers import Manifolds

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["measure", "precision_recall"]


def precision_recall(
    samples: Tensor, reference: Tensor, *, k: int = MANIFOLD_K, byte_budget: int = BYTE_BUDGET
) -> tuple[float, float]:
    """Return (precision, recall) of k-nearest-neighbour manifolds.

    The manifold of a set is the union of balls around its points, each with the distance to the k-th nearest other
    point as its radius. Precision is the share of samples inside the reference's manifold, recall the share of the
    reference inside the samples' manifold. Both lie in [0, 1] and grow with the counts, so compare only at equal
    counts; a single outlier in a set widens its manifold.

    Paper: Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models",
    https://arxiv.org/abs/1904.06991

    Args:
        samples: (M, d) features, M > k.
        reference: (N, d) features of the data, N > k.
        k: which neighbour sets a ball's radius.
        byte_budget: memory limit for the blocks.

    Example:
        >>> import torch
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
