"""MAUVE* and the frontier integral: how two histograms of features differ, in both directions at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.buckets import bucket_counts, fit_buckets, projected
from genbench.metrics.constants import (
    FRONTIER_POINTS,
    FRONTIER_SCALE,
    MAUVE_BUCKET_SHARE,
    MAUVE_SEEDS,
    MAUVE_TEXTS,
)
from genbench.metrics.features import limited

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["divergence_frontier", "frontier_area", "frontier_integral", "mauve", "measure", "smoothed"]


def smoothed(counts: Tensor) -> Tensor:
    """Return the (K,) shares of the buckets, with half an item added to each: the star in MAUVE*.

    Without it, a bucket that one side leaves empty by chance counts as one that it cannot reach, and more buckets make
    any two sets look more different.

    Paper: Krichevsky & Trofimov 1981, "The performance of universal encoding", https://doi.org/10.1109/TIT.1981.1056331

    >>> smoothed(torch.tensor([3.0, 0.0]))
    tensor([0.8750, 0.1250])
    """
    return (counts + 0.5) / (counts.sum() + len(counts) / 2)


def divergence_frontier(p: Tensor, q: Tensor, *, points: int = FRONTIER_POINTS) -> Tensor:
    """Return (points, 2) float64: `(KL(q ‖ r), KL(p ‖ r))` in nats for `r = λ p + (1 − λ) q`, λ evenly from 0 to 1.

    λ stays 1e-6 away from both ends, where r has no share of one side.

    Paper: Djolonga et al. 2020, "Precision-recall curves using information divergence frontiers",
    https://arxiv.org/abs/1905.10768

    Args:
        p: (K,) shares.
        q: (K,) shares.
        points: number of points.
    """
    weights = torch.linspace(1e-6, 1 - 1e-6, points, dtype=torch.float64, device=p.device)[:, None]
    mixed = weights * p + (1 - weights) * q
    sides = [(torch.special.xlogy(side, side) - torch.special.xlogy(side, mixed)).sum(dim=1) for side in (q, p)]
    return torch.stack(sides, dim=1).clamp(min=0)


def frontier_area(frontier: Tensor, *, scale: float = FRONTIER_SCALE) -> float:
    """Return the area under the curve `(exp(−c KL(q ‖ r)), exp(−c KL(p ‖ r)))`, its ends (1, 0) and (0, 1) added.

    By trapezoids. Because the ends lie on the axes, integrating over either axis gives the same area. 1 for equal
    histograms.

    Paper: Pillutla et al. 2021, "MAUVE: measuring the gap between neural text and human text using divergence
    frontiers", https://arxiv.org/abs/2102.01454

    Args:
        frontier: (P, 2) from `divergence_frontier`.
        scale: c.
    """
    ends = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=frontier.dtype, device=frontier.device)
    curve = torch.cat([ends[:1], torch.exp(-scale * frontier), ends[1:]])
    return -float(torch.trapezoid(curve[:, 1], curve[:, 0]))  # from 1 down to 0


def frontier_integral(p: Tensor, q: Tensor) -> float:
    """Return `2 ∫₀¹ λ KL(p ‖ r) + (1 − λ) KL(q ‖ r) dλ`, in [0, 1]: 0 for equal histograms, 1 for disjoint ones.

    In closed form `Σ (p + q)/2 − p q (log p − log q)/(p − q)` over the buckets.

    Paper: Liu et al. 2021, "Divergence frontiers for generative models: sample complexity, quantization effects, and
    frontier integrals", https://arxiv.org/abs/2106.07898

    Args:
        p: (K,) shares.
        q: (K,) shares.

    Example:
        >>> frontier_integral(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
        1.0
    """
    p, q = p.double(), q.double()
    mean, half = (p + q) / 2, (p - q) / 2
    # (log p − log q)/(p − q) = atanh(t)/(t m) with t = (p − q)/(p + q), and atanh keeps its digits near 0.
    t = torch.where(mean > 0, half / mean, 0.0)
    ratio = torch.where(t.abs() > 1e-8, torch.atanh(t) / t, 1.0)
    product = (mean - half) * (mean + half)
    both = torch.where((p > 0) & (q > 0), product * ratio / mean, 0.0)
    return max(0.0, float((mean - both).sum()))  # rounding may put equal histograms below 0


def mauve(
    samples: Tensor,
    reference: Tensor,
    *,
    buckets: int,
    seeds: int = MAUVE_SEEDS,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Return (seeds,) MAUVE* and (seeds,) frontier integrals, one for each start of k-means.

    Features of both sides, scaled to length 1, are projected onto the principal components that explain 0.9 of their
    variance and quantised by k-means; the histograms are smoothed by ½. Both numbers depend on the features, the
    buckets and the counts. MAUVE in papers uses GPT-2 features: compare only numbers from the same extractor.

    Paper: Pillutla et al. 2023, "MAUVE scores for generative models: theory and practice",
    https://arxiv.org/abs/2212.14578

    Args:
        samples: (M, d) features.
        reference: (N, d) features.
        buckets: number of buckets, at most M + N.
        seeds: number of k-means starts.
        seed: of the first start.
    """
    points = projected(torch.cat([samples, reference]))
    areas, integrals = [], []
    for start in range(seeds):
        found = fit_buckets(points, buckets, seed=seed + start)
        q, p = (smoothed(counts) for counts in bucket_counts(found, len(samples), buckets))
        areas.append(frontier_area(divergence_frontier(p, q)))
        integrals.append(frontier_integral(p, q))
    return torch.tensor(areas, dtype=torch.float64), torch.tensor(integrals, dtype=torch.float64)


def measure(evidence: Evidence) -> dict[str, float]:
    """`mauve_star` and `frontier_integral` at equal counts, means over k-means starts, and their deviations."""
    count = min(len(evidence.samples), len(evidence.reference), MAUVE_TEXTS)
    sides = [limited(side, count, evidence.seed) for side in (evidence.samples, evidence.reference)]
    areas, integrals = mauve(*sides, buckets=max(2, round(MAUVE_BUCKET_SHARE * count)), seed=evidence.seed)
    return {
        "mauve_star": float(areas.mean()),
        "mauve_star_std": float(areas.std()),
        "frontier_integral": float(integrals.mean()),
        "frontier_integral_std": float(integrals.std()),
    }
