"""The Monge inception distance (MIND): squared Wasserstein distances of features projected onto random directions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.metrics.constants import MIND_FACTOR, MIND_PROJECTIONS

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["Transport", "measure", "monge_distance", "transport"]

_CHUNK_VALUES = 1 << 22  # projected values of one side held at once
_ROWS = 4096  # features held in float64 at once


class Transport(NamedTuple):
    """A distance, and its (n,) float64 derivatives with respect to the samples' weights, minus their mean."""

    distance: float
    influences: Tensor


def monge_distance(samples: Tensor, reference: Tensor, *, projections: int = MIND_PROJECTIONS, seed: int = 0) -> float:
    """Return `3 d/(n P) Σ_u Σ_j (x_(j) − y_(j))²`: 3 d times the mean squared Wasserstein distance over directions.

    `x_(j)` is the j-th smallest of the products of the samples with the unit vector u, one of P drawn uniformly from
    the sphere. n is the smaller of the two counts; the larger side is subsampled to n at random. Between normal
    distributions of isotropic covariance it is three times the Fréchet distance. It is biased upwards: for equal
    distributions about c/n, not 0.

    Paper: Berthet et al. 2026, "MIND: Monge inception distance for generative models evaluation",
    https://arxiv.org/abs/2605.06797

    Args:
        samples: (M, d) features, M ≥ 1.
        reference: (N, d) features of the data, N ≥ 1.
        projections: P.
        seed: seeds the directions, and the subset of the larger side.

    Returns:
        At least 0, in squared units of the features.

    Example:
        >>> points = torch.tensor([[0.0], [1.0], [5.0]])
        >>> monge_distance(points, points.flip(0) + 2, projections=3)
        12.0
    """
    return transport(samples, reference, projections=projections, seed=seed).distance


def transport(samples: Tensor, reference: Tensor, *, projections: int = MIND_PROJECTIONS, seed: int = 0) -> Transport:
    """Return the distance and its derivatives with respect to the weights of the n samples that are used.

    On each direction a derivative is the potential f of the transport: between neighbours
    `f(x_(j+1)) − f(x_(j)) = (x_(j+1) − x_(j)) (x_(j+1) + x_(j) − y_(j+1) − y_(j))`, the middle of the admissible range.

    Paper: del Barrio & Loubes 2019, "Central limit theorems for empirical transportation cost in general dimension",
    https://arxiv.org/abs/1705.01299
    """
    cost, directions = 0.0, 0
    potentials = torch.zeros(min(len(samples), len(reference)), dtype=torch.float64, device=samples.device)
    for left, right in _projected(samples, reference, projections, seed):
        (ordered, order), pushed = left.sort(dim=1), right.sort(dim=1).values
        gaps = ordered - pushed
        cost += float(gaps.square().mean(dim=1).sum())
        potential = F.pad((ordered.diff(dim=1) * (gaps[:, 1:] + gaps[:, :-1])).cumsum(dim=1), (1, 0))
        potentials.index_add_(0, order.flatten(), potential.flatten())
        directions += len(left)
    factor = MIND_FACTOR * samples.shape[1] / directions
    return Transport(factor * cost, factor * (potentials - potentials.mean()))


def of_samples(evidence: Evidence) -> Transport:
    """The transport between the evidence's samples and its reference."""
    return transport(evidence.samples, evidence.reference, seed=evidence.seed)


def measure(evidence: Evidence) -> dict[str, float]:
    """`mind` of the samples."""
    return {"mind": evidence.once(of_samples).distance}


def _projected(samples: Tensor, reference: Tensor, projections: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (p, n) float64 products of p unit vectors with n rows of either side, until all P are done."""
    count = min(len(samples), len(reference))
    generator = torch.Generator().manual_seed(seed)
    left, right = (
        side if len(side) == count else side[torch.randperm(len(side), generator=generator)[:count].to(side.device)]
        for side in (samples, reference)
    )
    directions = torch.randn(projections, samples.shape[1], generator=generator).to(samples.device)
    for chunk in F.normalize(directions.double()).split(max(1, _CHUNK_VALUES // count)):
        yield _products(left, chunk), _products(right, chunk)


def _products(features: Tensor, directions: Tensor) -> Tensor:
    return torch.cat([directions @ rows.double().T for rows in features.split(_ROWS)], dim=1)
