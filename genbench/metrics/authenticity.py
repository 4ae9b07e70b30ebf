"""Authenticity: the share of samples that are not noisy copies of a training image, and a test against real images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.neighbours import BYTE_BUDGET, TIE, nearest_neighbours

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["authentic", "authenticity", "fewer_authentic_p", "measure"]


def authenticity(samples: Tensor, reference: Tensor, *, byte_budget: int = BYTE_BUDGET) -> float:
    """Return the share of samples farther from their nearest training image than that image is from any other.

    `A_j = 1[d(x_j, r*) > min_{r ≠ r*} d(r*, r)]`, where r* is the training image nearest to x_j; the mean over j. In
    [0, 1]. Real images outside the training set score about a third (low dimensions) to a half (high), not 1, so the
    number on its own flags nothing: `fewer_authentic_p` compares it with held-out images. The authors' code looks up
    the wrong training image (it indexes the neighbour distances with sample indices); this code follows the paper.

    Paper: Alaa et al. 2022, "How faithful is your synthetic data? Sample-level metrics for evaluating and auditing
    generative models", https://arxiv.org/abs/2102.08921

    Args:
        samples: (M, d) features, M ≥ 1.
        reference: (N, d) features of the training images, N ≥ 2.
        byte_budget: memory limit for the blocks.

    Example:
        >>> training = torch.tensor([[0.0], [1.0], [5.0]])
        >>> authenticity(torch.tensor([[0.0], [0.1], [2.5], [9.5]]), training)  # a copy, a near copy, two new ones
        0.5
    """
    radii = nearest_neighbours(reference, reference, 1, byte_budget)[0][:, 0]
    distances, indices = nearest_neighbours(samples, reference, 1, byte_budget)
    return float(authentic(distances[:, 0], indices[:, 0], radii).double().mean())


def authentic(distances: Tensor, nearest: Tensor, radii: Tensor) -> Tensor:
    """Return (M,) booleans: whether each sample is farther from its nearest training image than another one is.

    Args:
        distances: (M,) to the nearest training image.
        nearest: (M,) its index.
        radii: (N,) distance from each training image to its nearest other.
    """
    return distances.square() > radii[nearest].square() * (1 + TIE)


def fewer_authentic_p(samples: Tensor, held_out: Tensor) -> float:
    """Return Fisher's exact one-sided p that the samples are authentic at least as often as held-out images.

    Given the training set, samples and held-out images are independent draws, and so are their A_j; for samples from
    the data's own distribution, both have the same probability of being authentic. Conditional on the total number of
    authentic items, the number among the samples is then hypergeometric, and p is the probability of at most the
    number observed. A p below 0.01 flags copying.

    Paper: Fisher 1922, "On the interpretation of χ² from contingency tables, and the calculation of P",
    https://doi.org/10.2307/2340521

    Args:
        samples: (M,) booleans from `authentic`.
        held_out: (H,) the same for held-out images, disjoint from the samples.

    Example:
        >>> round(fewer_authentic_p(torch.zeros(10, dtype=bool), torch.arange(10) < 5), 4)
        0.0163
    """
    drawn, total = len(samples), len(samples) + len(held_out)
    seen = int(samples.sum())
    successes = seen + int(held_out.sum())
    counts = torch.arange(max(0, drawn + successes - total), seen + 1, dtype=torch.float64)
    log_chances = (
        _log_choose(successes, counts)
        + _log_choose(total - successes, drawn - counts)
        - _log_choose(total, torch.tensor(drawn, dtype=torch.float64))
    )
    return min(1.0, float(log_chances.logsumexp(dim=0).exp()))


def _log_choose(n: int, k: Tensor) -> Tensor:
    return math.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)


def measure(evidence: Evidence) -> dict[str, float]:
    """`authenticity` of the samples, and `authenticity_p` where there are held-out images."""
    statistics = evidence.statistics
    radii = statistics.neighbour_distances[:, 0]
    samples = authentic(*evidence.nearest_training, radii)
    values = {"authenticity": float(samples.double().mean())}
    if evidence.held_out is not None and len(evidence.held_out):
        held_out = authentic(statistics.held_out_distances, statistics.held_out_nearest, radii)
        values["authenticity_p"] = fewer_authentic_p(*evidence.sides(samples, held_out))
    return values
