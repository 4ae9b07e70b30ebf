"""The Inception score: how confidently a classifier labels each sample, and how evenly samples cover its classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.constants import SCORE_SPLITS
from genbench.metrics.features import check_features, taken
from genbench.metrics.not_measurable import NotMeasurable

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["classifier_score", "divergences", "measure", "probabilities"]


def classifier_score(logits: Tensor, *, splits: int = SCORE_SPLITS, seed: int | None = 0) -> tuple[float, float]:
    """Return the mean and population standard deviation over splits of `exp(mean_x KL(p(y|x) ‖ p(y)))`.

    `p(y|x)` is the softmax of the logits and `p(y)` its mean over the split. Between 1 (every sample has the same
    class probabilities) and the number of classes. It is the Inception score when the classifier is the 2015
    Inception-v3. A split of n samples biases it downwards, so compare only at equal counts.

    Paper: Salimans et al. 2016, "Improved techniques for training GANs", https://arxiv.org/abs/1606.03498;
    Barratt & Sharma 2018, "A note on the Inception score", https://arxiv.org/abs/1801.01973

    Args:
        logits: (N, C), N ≥ splits.
        splits: number of nearly equal parts into which the samples are split.
        seed: seeds the order in which they are split; None keeps the given order.

    Raises:
        NotMeasurable: fewer samples than splits.
        ValueError: the logits are not finite or not (N, C).

    Example:
        >>> sure = 1000 * torch.eye(4).repeat(10, 1)
        >>> classifier_score(sure, splits=1)
        (4.0, 0.0)
    """
    scores = torch.stack([terms.mean().exp() for terms in divergences(logits, splits=splits, seed=seed)])
    return float(scores.mean()), float(scores.std(correction=0))


def divergences(logits: Tensor, *, splits: int, seed: int | None) -> list[Tensor]:
    """Return `KL(p(y|x) ‖ p(y))` of each sample in nats, float64, split by split; arguments as `classifier_score`."""
    found = []
    for p, log_p in probabilities(logits, splits=splits, seed=seed):
        # Where p underflows to zero, its term is zero: log_p stays finite; only log(marginal) may not.
        marginal = p.mean(dim=0).clamp(min=torch.finfo(torch.float64).tiny)
        found.append((p * (log_p - marginal.log())).sum(dim=1))
    return found


def probabilities(logits: Tensor, *, splits: int = SCORE_SPLITS, seed: int | None) -> list[tuple[Tensor, Tensor]]:
    """Return `p(y|x)` and its logarithm, (n, C) float64, split by split; arguments as `classifier_score`."""
    check_features(logits, "logits")
    count = len(logits)
    if count < splits:
        raise NotMeasurable(f"classifier_score: needs at least {splits} samples, got {count}")
    if seed is not None:
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        logits = taken(logits, order)
    log_p = logits.double().log_softmax(dim=1)
    cuts = [slice(part * count // splits, (part + 1) * count // splits) for part in range(splits)]
    return [(log_p[cut].exp(), log_p[cut]) for cut in cuts]


def measure(evidence: Evidence) -> dict[str, float]:
    """`classifier_score` of the samples, and its spread over splits."""
    assert evidence.sample_logits is not None
    mean, deviation = classifier_score(evidence.sample_logits, seed=evidence.seed)
    return {"classifier_score": mean, "classifier_score_std": deviation}
