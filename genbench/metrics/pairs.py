"""All pairwise quantities that metrics need, of the samples among themselves and with the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from genbench.metrics.neighbours import BYTE_BUDGET, Nearest, is_filtered, sweep
from genbench.metrics.observers import Balls, ClippedBalls, KernelSums, Manifolds
from genbench.metrics.third_moments import moments_pay

__all__ = ["CrossPairs", "SelfPairs", "cross_pairs", "kid_rows", "self_pairs", "share_products", "sums_float32"]

# Features from which on most of a sweep's time is its products, and one sweep with float64 products is faster than two:
# with float32 ones for the neighbours, and with float64 ones for the sums.
_SHARED_FROM = 128


@dataclass(frozen=True)
class SelfPairs:
    """Results for a set with itself.

    Args:
        distances: (N, k) float64 to the k nearest others, ascending; infinite where there are fewer.
        indices: (N, k) int64 indices of these; −1 where there are fewer.
        kid_rows: (N,) float64 sums of the KID kernel with all others, if asked for.
    """

    distances: Tensor
    indices: Tensor
    kid_rows: Tensor | None


@dataclass(frozen=True)
class CrossPairs:
    """Results for the M samples with the N reference features.

    Args:
        nearest: (M,) float64 distances to the nearest reference features and (M,) int64 these, if asked for.
        kid_rows: (M,) float64 sums of the KID kernel with the reference, if asked for.
        sample_inside: (M,) bool, in the reference's manifold.
        reference_inside: (N,) bool, in the samples' manifold.
        balls: (M,) int64, how many reference balls contain each sample.
        held: (N,) int64, how many samples each reference ball contains.
        clipped_balls: (M,) int64, how many of the clipped reference balls contain each sample.
    """

    nearest: tuple[Tensor, Tensor] | None
    kid_rows: Tensor | None
    sample_inside: Tensor
    reference_inside: Tensor
    balls: Tensor
    held: Tensor
    clipped_balls: Tensor

    @property
    def covered(self) -> Tensor:
        """(N,) bool, whether each reference ball contains a sample."""
        return self.held > 0


def share_products(left: int, right: int, dimension: int) -> bool:
    """Whether one sweep over so many rows and features for both neighbours and sums is faster than one for each.

    Where the right side has enough rows, the sums need no sweep.
    """
    if moments_pay(right, dimension):
        return False
    return dimension >= _SHARED_FROM or is_filtered(left, right, dimension)


def sums_float32(kernel: Literal["cubic", "gaussian"], samples: int, reference: int, dimension: int) -> bool:
    """Whether the sums of a kernel over all pairs of so many items have float32 products."""
    largest = max(samples, reference)
    by_moments = kernel == "cubic" and moments_pay(reference, dimension)
    return not by_moments and is_filtered(largest, largest, dimension)


def kid_rows(left: Tensor, right: Tensor, byte_budget: int = BYTE_BUDGET) -> Tensor:
    """Return (len(left),) float64 sums of each row's KID kernel with `right`; with `left is right`, with all others."""
    kernel = KernelSums(len(left), left.shape[1], left.device)
    sweep(left, right, [kernel], byte_budget)
    return kernel.rows


def self_pairs(
    features: Tensor, k: int, *, kernel: bool = False, byte_budget: int = BYTE_BUDGET, filtered: bool | None = None
) -> SelfPairs:
    """Sweep (N, d) features with themselves.

    Args:
        features: of one set.
        k: how many neighbours.
        kernel: whether to sum the KID kernel in the same sweep.
        byte_budget: memory limit for the blocks.
        filtered: as for `sweep`.
    """
    nearest = Nearest(len(features), k, exclude_self=True, device=features.device)
    sums = _sums(features, kernel)
    sweep(features, features, [nearest, *sums], byte_budget, filtered=filtered)
    return SelfPairs(nearest.distances, nearest.indices, _rows(sums))


def cross_pairs(
    samples: Tensor,
    reference: Tensor,
    *,
    sample_radii: Tensor,
    manifold_radii: Tensor,
    ball_radii: Tensor,
    nearest: bool = True,
    kernel: bool = False,
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
        nearest: whether to search for each sample's nearest reference feature in the same sweep.
        kernel: whether to sum the KID kernel in it too.
        byte_budget: memory limit for the blocks.
        filtered: as for `sweep`.
    """
    count = len(samples)
    neighbours = [Nearest(count, 1, device=samples.device)] if nearest else []
    manifolds = Manifolds(sample_radii, manifold_radii)
    balls = Balls(count, ball_radii)
    clipped = ClippedBalls(count, ball_radii)
    sums = _sums(samples, kernel)
    sweep(samples, reference, [*neighbours, manifolds, balls, clipped, *sums], byte_budget, filtered=filtered)
    return CrossPairs(
        nearest=(neighbours[0].distances[:, 0], neighbours[0].indices[:, 0]) if neighbours else None,
        kid_rows=_rows(sums),
        sample_inside=manifolds.sample_inside,
        reference_inside=manifolds.reference_inside,
        balls=balls.balls,
        held=balls.held,
        clipped_balls=clipped.balls,
    )


def _sums(features: Tensor, wanted: bool) -> list[KernelSums]:
    return [KernelSums(len(features), features.shape[1], features.device)] if wanted else []


def _rows(sums: list[KernelSums]) -> Tensor | None:
    return sums[0].rows if sums else None
