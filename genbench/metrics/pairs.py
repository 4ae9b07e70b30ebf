"""All pairwise quantities that metrics need, from one sweep over the samples and one from the samples to the data."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from genbench.metrics.neighbours import BYTE_BUDGET, Nearest, Observer, sweep
from genbench.metrics.observers import Balls, ClippedBalls, KernelSums, Manifolds

__all__ = ["CrossPairs", "SelfPairs", "cross_pairs", "self_pairs"]


@dataclass(frozen=True)
class SelfPairs:
    """Results for a set with itself.

    Args:
        distances: (N, k) float64 to the k nearest others, ascending; infinite where there are fewer.
        indices: (N, k) int64 indices of these; −1 where there are fewer.
        kernel_rows: (N,) float64 sums of the KID kernel with all others.
    """

    distances: Tensor
    indices: Tensor
    kernel_rows: Tensor


@dataclass(frozen=True)
class CrossPairs:
    """Results for the M samples with the N reference features.

    Args:
        nearest_distances: (M,) float64 to the nearest reference feature.
        nearest_indices: (M,) int64 index of that feature.
        kernel_rows: (M,) float64 sums of the KID kernel with the reference.
        sample_inside: (M,) bool, in the reference's manifold.
        reference_inside: (N,) bool, in the samples' manifold.
        balls: (M,) int64, how many reference balls contain each sample.
        held: (N,) int64, how many samples each reference ball contains.
        clipped_balls: (M,) int64, how many of the clipped reference balls contain each sample.
    """

    nearest_distances: Tensor
    nearest_indices: Tensor
    kernel_rows: Tensor
    sample_inside: Tensor
    reference_inside: Tensor
    balls: Tensor
    held: Tensor
    clipped_balls: Tensor

    @property
    def covered(self) -> Tensor:
        """(N,) bool, whether each reference ball contains a sample."""
        return self.held > 0


def self_pairs(features: Tensor, k: int, *, byte_budget: int = BYTE_BUDGET, filtered: bool | None = None) -> SelfPairs:
    """Sweep (N, d) features with themselves."""
    count, dimension = features.shape
    nearest = Nearest(count, k, exclude_self=True, device=features.device)
    kernel = KernelSums(count, dimension, features.device)
    sweep(features, features, [nearest, kernel], byte_budget, filtered=filtered)
    return SelfPairs(nearest.distances, nearest.indices, kernel.rows)


def cross_pairs(
    samples: Tensor,
    reference: Tensor,
    *,
    sample_radii: Tensor,
    manifold_radii: Tensor,
    ball_radii: Tensor,
    byte_budget: int = BYTE_BUDGET,
    filtered: bool | None = None,
) -> CrossPairs:
    """Sweep (M, d) samples with an (N, d) reference.

    Args:
        samples: features.
        reference: features of the data.
        sample_radii: (M,) of the samples' manifold, for recall.
        manifold_radii: (N,) of the reference's manifold, for precision.
        ball_radii: (N,) of the reference's balls, for density and coverage and, clipped, for clipped density.
        byte_budget: memory limit for the blocks.
        filtered: as for `sweep`.
    """
    count, dimension = samples.shape
    nearest = Nearest(count, 1, device=samples.device)
    kernel = KernelSums(count, dimension, samples.device)
    manifolds = Manifolds(sample_radii, manifold_radii)
    balls = Balls(count, ball_radii)
    clipped = ClippedBalls(count, ball_radii)
    observers: list[Observer] = [nearest, kernel, manifolds, balls, clipped]
    sweep(samples, reference, observers, byte_budget, filtered=filtered)
    return CrossPairs(
        nearest_distances=nearest.distances[:, 0],
        nearest_indices=nearest.indices[:, 0],
        kernel_rows=kernel.rows,
        sample_inside=manifolds.sample_inside,
        reference_inside=manifolds.reference_inside,
        balls=balls.balls,
        held=balls.held,
        clipped_balls=clipped.balls,
    )
