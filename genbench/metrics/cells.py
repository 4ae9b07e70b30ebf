"""Cells of feature space by k-means, so that samples are compared with held-out images of the same region."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.metrics.features import taken

__all__ = ["assign_cells", "fit_cells"]

_FITTED = 5000
_RESTARTS = 3
_ITERATIONS = 50


def fit_cells(features: Tensor, cells: int, *, seed: int = 0) -> Tensor:
    """Return (cells, d) float64 k-means centroids, the best of three starts.

    Lloyd's iterations from k-means++ starts, on at most 5,000 features. A cell that loses its points keeps its
    centroid.

    Paper: Arthur & Vassilvitskii 2007, "k-means++: the advantages of careful seeding",
    https://theory.stanford.edu/~sergei/papers/kMeansPP-soda.pdf

    Args:
        features: (N, d), N ≥ cells.
        cells: number of cells.
        seed: seeds the subset and the starts.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(features), generator=generator)[:_FITTED]
    points = taken(features, chosen).double()
    norms = _norms(points)
    best, best_cost = points[:cells], float("inf")
    for _ in range(_RESTARTS):
        centroids, cost = _lloyd(points, norms, _start(points, norms, cells, generator))
        if cost < best_cost:
            best, best_cost = centroids, cost
    return best


def assign_cells(features: Tensor, centroids: Tensor) -> Tensor:
    """Return (N,) int64: the index of the nearest centroid."""
    parts = (chunk.double() for chunk in torch.split(features, 8192))
    return torch.cat([_squared(points, _norms(points), centroids).argmin(dim=1) for points in parts])


def _start(points: Tensor, norms: Tensor, cells: int, generator: torch.Generator) -> Tensor:
    """k-means++: each new centroid is a point drawn in proportion to its squared distance from those chosen so far."""
    first = int(torch.randint(len(points), (1,), generator=generator))
    centroids = points[first : first + 1]
    while len(centroids) < cells:
        weights = _squared(points, norms, centroids).amin(dim=1).cpu().cumsum(dim=0)
        drawn = torch.rand(1, dtype=torch.float64, generator=generator) * weights[-1]
        index = min(int(torch.searchsorted(weights, drawn)), len(points) - 1)
        centroids = torch.cat([centroids, points[index : index + 1]])
    return centroids


def _lloyd(points: Tensor, norms: Tensor, centroids: Tensor) -> tuple[Tensor, float]:
    squared = _squared(points, norms, centroids)
    for _ in range(_ITERATIONS):
        assigned = squared.argmin(dim=1)
        members = torch.nn.functional.one_hot(assigned, len(centroids)).double()
        counts = members.sum(dim=0)
        moved = torch.where(counts[:, None] > 0, members.T @ points / counts.clamp(min=1)[:, None], centroids)
        if torch.equal(moved, centroids):
            break
        centroids = moved
        squared = _squared(points, norms, centroids)
    return centroids, float(squared.amin(dim=1).sum())


def _norms(points: Tensor) -> Tensor:
    return points.square().sum(dim=1)


def _squared(points: Tensor, norms: Tensor, centroids: Tensor) -> Tensor:
    squared = norms[:, None] - points @ (2 * centroids.T) + _norms(centroids)
    return squared.clamp_(min=0)
