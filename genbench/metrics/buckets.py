"""Histograms of two sets of features over the same buckets, by principal components and k-means."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.metrics.constants import MAUVE_ITERATIONS, MAUVE_VARIANCE

__all__ = ["bucket_counts", "fit_buckets", "projected"]


def projected(features: Tensor, *, variance: float = MAUVE_VARIANCE) -> Tensor:
    """Return (N, c) float64: features scaled to length 1, projected onto their first principal components.

    Keeps as many components as explain the share `variance` of the features' variance, at least one. A feature of
    length 0 is not scaled.

    Args:
        features: (N, d), N ≥ 2, both sets together.
        variance: in (0, 1).
    """
    units = torch.nn.functional.normalize(features.double(), dim=1)
    centred = units - units.mean(dim=0)
    values: Tensor
    vectors: Tensor
    values, vectors = torch.linalg.eigh(centred.T @ centred)  # ascending
    explained = values.clamp(min=0).flip(0).cumsum(dim=0)
    wanted = 1 + int((explained < variance * explained[-1]).sum())
    return centred @ vectors[:, -wanted:]


def fit_buckets(points: Tensor, buckets: int, *, seed: int = 0, iterations: int = MAUVE_ITERATIONS) -> Tensor:
    """Return (N,) int64: the bucket of each of (N, c) points, by Lloyd's k-means from one start at random points.

    A bucket that loses its points keeps its centre. One start is enough, since the spread over starts is reported.
    """
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
    centres = points[order[:buckets].to(points.device)]
    found = _nearest(points, centres)
    for _ in range(iterations):
        counts = torch.bincount(found, minlength=buckets)[:, None]
        sums = torch.zeros_like(centres).index_add_(0, found, points)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
        before, found = found, _nearest(points, centres)
        if torch.equal(before, found):
            break
    return found


def _nearest(points: Tensor, centres: Tensor) -> Tensor:
    norms = centres.square().sum(dim=1) / 2
    return torch.cat([torch.addmm(norms, part, centres.T, alpha=-1).argmin(dim=1) for part in points.split(4096)])


def bucket_counts(found: Tensor, first: int, buckets: int) -> tuple[Tensor, Tensor]:
    """Return the (buckets,) float64 counts of the first `first` points, and of the others."""
    one, other = (torch.bincount(part, minlength=buckets).double() for part in found.tensor_split([first]))
    return one, other
