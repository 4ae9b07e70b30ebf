"""The kernel distance (KID): the squared maximum mean discrepancy under a cubic polynomial kernel, unbiased."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.constants import KID_SUBSET_SIZE, KID_SUBSETS
from genbench.metrics.features import check_features, taken
from genbench.metrics.neighbours import BYTE_BUDGET
from genbench.metrics.not_measurable import NotMeasurable
from genbench.metrics.pairs import kid_rows
from genbench.metrics.third_moments import moments_pay, sum_of_distinct, third_moments, total

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["kernel_distance", "subset_kernel_distance", "from_sums", "measure", "measure_subsets"]


def kernel_distance(samples: Tensor, reference: Tensor, *, byte_budget: int = BYTE_BUDGET) -> float:
    """Return the unbiased estimate of the squared MMD between the distributions of two sets of features.

    `1/(M(M−1)) Σ_{i≠j} k(x_i, x_j) + 1/(N(N−1)) Σ_{i≠j} k(y_i, y_j) − 2/(MN) Σ_{ij} k(x_i, y_j)` over all pairs, where
    `k(x, y) = (x·y/d + 1)³`. Its mean does not depend on the counts; for equal distributions it is 0, so half of the
    time the estimate is negative. Valid from 2 samples up.

    Paper: Bińkowski et al. 2018, "Demystifying MMD GANs", https://arxiv.org/abs/1801.01401; Gretton et al.
    2012, "A kernel two-sample test", equation 3, https://jmlr.org/papers/v13/gretton12a.html

    Args:
        samples: (M, d) features, M ≥ 2.
        reference: (N, d) features of the data, N ≥ 2.
        byte_budget: memory limit for the blocks of pairs; third moments, which replace these where items are many, take
            less than 64 MB.

    Example:
        >>> features = torch.eye(4)
        >>> round(kernel_distance(features, features + 1), 3)
        12.008
    """
    check_features(samples, "samples")
    check_features(reference, "reference", dimension=samples.shape[1])
    if moments_pay(*reference.shape):
        ours, theirs = third_moments(samples), third_moments(reference)
        within, among = sum_of_distinct(samples, ours), sum_of_distinct(reference, theirs)
        across = total(ours, theirs, samples.shape[1])
    else:
        within, across, among = (
            kid_rows(left, right, byte_budget).sum()
            for left, right in ((samples, samples), (samples, reference), (reference, reference))
        )
    return from_sums(within, across, among, len(samples), len(reference))


def subset_kernel_distance(
    samples: Tensor,
    reference: Tensor,
    *,
    subsets: int = KID_SUBSETS,
    subset_size: int = KID_SUBSET_SIZE,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the mean and population standard deviation of the KID over random subsets, as other tools report it.

    The mean estimates the same quantity as `kernel_distance`, with more noise; the deviation is the spread over
    overlapping subsets of this size, not a standard error of the mean.

    Args:
        samples: (M, d) features, M ≥ subset_size.
        reference: (N, d) features of the data, N ≥ subset_size.
        subsets: number of subsets.
        subset_size: drawn from each side without replacement.
        seed: seeds the subsets.

    Raises:
        NotMeasurable: fewer features than `subset_size`.
    """
    least = min(len(samples), len(reference))
    if least < subset_size:
        raise NotMeasurable(f"kid_subsets: needs at least {subset_size} items on each side, got {least}")
    generator = torch.Generator().manual_seed(seed)

    def drawn(features: Tensor) -> Tensor:
        chosen = torch.randperm(len(features), generator=generator)[:subset_size]
        return taken(features, chosen)

    values = torch.tensor(
        [kernel_distance(drawn(samples), drawn(reference)) for _ in range(subsets)], dtype=torch.float64
    )
    return float(values.mean()), float(values.std(correction=0))


def from_sums(within: Tensor, across: Tensor, among: Tensor, samples: int, reference: int) -> float:
    """Return the U-statistic from the three sums of kernel values over ordered pairs of distinct points."""
    return float(
        within / (samples * (samples - 1)) + among / (reference * (reference - 1)) - 2 * across / (samples * reference)
    )


def measure(evidence: Evidence) -> dict[str, float]:
    """`kid` over all pairs."""
    sums, among = evidence.kid_sums, evidence.statistics.kernel_sum
    return {"kid": from_sums(sums.within, sums.across, among, len(evidence.compared), len(evidence.reference))}


def measure_subsets(evidence: Evidence) -> dict[str, float]:
    """`kid_subsets` and its spread, as other tools report it."""
    mean, deviation = subset_kernel_distance(evidence.samples, evidence.reference, seed=evidence.seed)
    return {"kid_subsets": mean, "kid_subsets_std": deviation}
