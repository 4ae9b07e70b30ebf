"""Standard errors from the samples: how far a number would move, were the same model to draw other samples.

This is the uncertainty of the evaluation, apart from that of training: the reference and the model stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.authenticity import authentic
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.inception_score import classifier_score
from genbench.metrics.table import BALL_K

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = [
    "delete_group_jackknife",
    "frechet_standard_error",
    "kernel_standard_error",
    "mean_standard_error",
    "standard_errors",
]

GROUPS = 20


def delete_group_jackknife(
    statistic: Callable[[Tensor], float], count: int, *, groups: int = GROUPS, seed: int = 0
) -> float:
    """Return the standard error of a statistic of `count` samples by leaving out one random group after the other.

    `s² = (G − 1)/G Σ_g (θ₍g₎ − θ̄)²`. An interval is θ ± t s with t of G − 1 degrees of freedom (2.09 for 20), around
    the statistic's mean *at this count*: where the statistic is biased by its count (FD, recall), the interval does
    not hold the limit of infinitely many samples.

    Why not the bootstrap: a resample with replacement holds 63% of the samples, some several times, so its covariance
    has the spread of a smaller set. The Fréchet distance of bootstrap resamples is therefore shifted up by about its
    whole bias once more, and percentile intervals miss the number itself. Leaving out a twentieth keeps all distinct,
    moves the bias by a twentieth only, and the same for each group, so that it cancels from the spread.

    Paper: Kott 2001, "The delete-a-group jackknife", Journal of Official Statistics 17(4); Efron & Stein 1981, "The
        jackknife
    estimate of variance", https://doi.org/10.1214/aos/1176345462

    Args:
        statistic: from the indices to leave out, int64, to a number.
        count: of samples, at least `groups`.
        groups: G.
        seed: of the groups.

    Raises:
        ValueError: fewer samples than groups.

    Example:
        >>> values = torch.arange(100, dtype=torch.float64)
        >>> def mean_without(removed):
        ...     return float((values.sum() - values[removed].sum()) / (100 - len(removed)))
        >>> 1.5 < delete_group_jackknife(mean_without, 100) < 4.5  # 2.9 is the standard error of this mean
        True
    """
    if count < groups:
        raise ValueError(f"jackknife: needs at least {groups} samples, got {count}")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    left_out = torch.tensor([statistic(part) for part in order.tensor_split(groups)], dtype=torch.float64)
    return float(((groups - 1) / groups * (left_out - left_out.mean()).square().sum()).sqrt())


def frechet_standard_error(
    samples: Tensor,
    reference: GaussianStatistics,
    *,
    total: GaussianStatistics | None = None,
    groups: int = GROUPS,
    seed: int = 0,
) -> float:
    """Return the delete-group jackknife's standard error of the Fréchet distance of (N, d) samples."""
    total = total or GaussianStatistics.from_features(samples)

    def without(removed: Tensor) -> float:
        return frechet_distance(total.without(samples, removed.to(samples.device)), reference)

    return delete_group_jackknife(without, len(samples), groups=groups, seed=seed)


def kernel_standard_error(within: Tensor, across: Tensor, reference: int) -> float:
    """Return the delete-one jackknife's standard error of KID, from row sums of the kernel.

    Without sample i the sums lose its row (twice within, as the kernel is symmetric), so all M leave-one-out values
    are had at once: `s² = (M − 1)/M Σ_i (θ₍i₎ − θ̄)²`.

    Args:
        within: (M,) sums of each sample's kernel with the others, M ≥ 3.
        across: (M,) sums of its kernel with the reference.
        reference: how many features that has.
    """
    count = len(within)
    left = count - 1
    values = (within.sum() - 2 * within) / (left * (left - 1)) - 2 * (across.sum() - across) / (left * reference)
    return float((left / count * (values - values.mean()).square().sum()).sqrt())


def mean_standard_error(values: Tensor) -> float:
    """Return `s/√N` of (N,) values whose mean is the number."""
    return float(values.double().std() / len(values) ** 0.5)


def standard_errors(evidence: Evidence, *, groups: int = GROUPS) -> dict[str, float]:
    """Return the standard errors by value name of the numbers that have one here.

    `fd` by groups, `kid` by single samples, `classifier_score` by groups, `precision`, `density`, `authenticity` and
    `bits_per_dim` as means over independent images. Recall and coverage are no means over samples; theirs are not
    given.

    Args:
        evidence: at least `groups` samples.
        groups: of the jackknife.

    Raises:
        ValueError: fewer samples than groups.
    """
    errors = {
        "fd": frechet_standard_error(
            evidence.samples,
            evidence.statistics.gaussian,
            total=evidence.sample_gaussian,
            groups=groups,
            seed=evidence.seed,
        )
    }
    pairs, statistics = evidence.cross_pairs, evidence.statistics
    errors["kid"] = kernel_standard_error(evidence.sample_pairs.kernel_rows, pairs.kernel_rows, len(evidence.reference))
    errors["precision"] = mean_standard_error(pairs.sample_inside)
    errors["density"] = mean_standard_error(pairs.balls / BALL_K)
    fresh = authentic(pairs.nearest_distances, pairs.nearest_indices, statistics.neighbour_distances[:, 0])
    errors["authenticity"] = mean_standard_error(fresh)
    if evidence.sample_logits is not None:
        errors["classifier_score"] = _score_standard_error(evidence.sample_logits, groups, evidence.seed)
    if evidence.log_likelihoods is not None and evidence.dimensions is not None:
        # Divided by ln 2 and by the dimensions, as the number is.
        nats = mean_standard_error(evidence.log_likelihoods)
        errors["bits_per_dim"] = nats / evidence.dimensions / torch.log(torch.tensor(2.0, dtype=torch.float64)).item()
    return errors


def _score_standard_error(logits: Tensor, groups: int, seed: int) -> float:
    def without(removed: Tensor) -> float:
        kept = torch.ones(len(logits), dtype=torch.bool)
        kept[removed] = False
        return classifier_score(logits[kept.to(logits.device)], seed=seed)[0]

    return delete_group_jackknife(without, len(logits), groups=groups, seed=seed)
