"""The classifier two-sample test: how well a linear classifier separates unseen samples from unseen data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from genbench.metrics.c2st_error import Fold, Half, cross_fitted_error, placements
from genbench.metrics.constants import C2ST_ITEMS, C2ST_LEAST, C2ST_PENALTY
from genbench.metrics.features import taken
from genbench.metrics.not_measurable import NotMeasurable

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = [
    "Area",
    "area_under_curve",
    "error_of_samples",
    "logistic_regression",
    "measure",
    "of_samples",
    "two_sample_area",
]

_MOST_STEPS = 50
_CONSTANT = 1e-9  # a deviation this small, relative to the mean, is rounding
_CLOSE = 1e-10  # the regression has converged once a step lowers the loss by less than this share


class Area(NamedTuple):
    """The area under a ROC curve and its standard error, which is 0 where the two sides do not overlap."""

    area: float
    error: float


def two_sample_area(samples: Tensor, reference: Tensor, *, most: int = C2ST_ITEMS, seed: int = 0) -> Area:
    """Return the held-out area under the ROC curve of a logistic regression that separates samples from data.

    Equally many random items of either side are split in half. The regression is fitted to one half, with each feature
    standardised to mean 0 and deviation 1 there, and ranks the other; then the halves swap roles. The area is the mean
    of the two: 0.5 where samples cannot be told from data, 1 where they always can. Its error counts the choice of the
    items that are ranked and of those that are learnt: see `cross_fitted_error`.

    Paper: Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests", https://arxiv.org/abs/1610.06545

    Args:
        samples: (M, d) features, M ≥ 8.
        reference: (N, d) features of the data, N ≥ 8.
        most: items used from either side, at most.
        seed: seeds the choice of items and the halves.

    Raises:
        NotMeasurable: fewer than 8 items on a side.
    """
    halves = _halves(samples, reference, most, seed)
    folds = _folds(halves)
    return Area(_mean_area(folds), cross_fitted_error(halves, folds))


def area_under_curve(positive: Tensor, negative: Tensor) -> Area:
    """Return the probability that a positive score exceeds a negative one, ties as ½, and its standard error.

    With a placement being the share of the other side that a score beats,
    `s² = var(placements⁺)/m + var(placements⁻)/n`.

    Paper: DeLong, DeLong & Clarke-Pearson 1988, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", https://doi.org/10.2307/2531595

    Args:
        positive: (m,) scores, m ≥ 2.
        negative: (n,) scores, n ≥ 2.

    Example:
        >>> found = area_under_curve(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0]))
        >>> found.area, round(found.error, 6)
        (0.75, 0.353553)
    """
    above, below = placements(positive, negative), 1 - placements(negative, positive)
    return Area(float(above.mean()), float((above.var() / len(above) + below.var() / len(below)).sqrt()))


def logistic_regression(features: Tensor, labels: Tensor, *, penalty: float = C2ST_PENALTY) -> Tensor:
    """Return (d + 1,) weights, the intercept last, that minimise `Σ log(1 + exp(−s_i z_i)) + penalty/2 |w|²`.

    By Newton's method, halving each step until the loss falls; the intercept is not penalised. Equivalent to
    scikit-learn's `LogisticRegression(C=1/penalty)`.

    Args:
        features: (n, d) float64.
        labels: (n,) float64, 0 or 1, both present.
        penalty: above 0, so that the minimum is unique even where a plane separates the labels.
    """
    design = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
    ridge = torch.full_like(design[0], penalty)
    ridge[-1] = 0
    signs = 2 * labels - 1

    def loss_of(weights: Tensor) -> float:
        return float(-torch.nn.functional.logsigmoid(signs * (design @ weights)).sum() + ridge @ weights.square() / 2)

    weights = torch.zeros_like(ridge)
    loss = loss_of(weights)
    for _ in range(_MOST_STEPS):
        shares = (design @ weights).sigmoid()
        gradient = design.T @ (shares - labels) + ridge * weights
        curvature = (design.T * (shares * (1 - shares))) @ design + ridge.diag()
        step = torch.linalg.solve(curvature, gradient)
        size = 1.0
        while (after := loss_of(weights - size * step)) > loss and size > _CLOSE:
            size /= 2
        if loss - after <= _CLOSE * loss:
            break
        weights, loss = weights - size * step, after
    return weights


def of_samples(evidence: Evidence) -> tuple[Fold, Fold]:
    """What either half of the evidence's samples and reference teaches."""
    return _folds(_of_evidence(evidence))


def error_of_samples(evidence: Evidence) -> float:
    """The standard error of `c2st_auc`. Only where asked for: it may take longer than the number."""
    return cross_fitted_error(_of_evidence(evidence), evidence.once(of_samples))


def measure(evidence: Evidence) -> dict[str, float]:
    """`c2st_auc` of the samples."""
    return {"c2st_auc": _mean_area(evidence.once(of_samples))}


def _of_evidence(evidence: Evidence) -> tuple[Half, Half]:
    return _halves(evidence.samples, evidence.reference, C2ST_ITEMS, evidence.seed)


def _halves(samples: Tensor, reference: Tensor, most: int, seed: int) -> tuple[Half, Half]:
    count = min(len(samples), len(reference), most)
    if count < C2ST_LEAST:
        raise NotMeasurable(f"c2st_auc: needs at least {C2ST_LEAST} samples and reference features, got {count}")
    # One seed per side: with a shared one, copies of the data in its order would land in the same half.
    made, real = (_halved(side, count, seed + index) for index, side in enumerate((samples, reference)))
    return (made[0], real[0]), (made[1], real[1])


def _halved(features: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))[:count]
    first, second = taken(features, order).double().tensor_split(2)
    return first, second


def _folds(halves: tuple[Half, Half]) -> tuple[Fold, Fold]:
    return _fold(*halves), _fold(*reversed(halves))


def _fold(learnt: Half, ranked: Half) -> Fold:
    made, real = learnt
    both = torch.cat([made, real])
    mean, spread = both.mean(dim=0), both.std(dim=0)
    spread = torch.where(spread > _CONSTANT * mean.abs(), spread, 1)  # a constant feature carries no information
    labels = torch.cat([both.new_ones(len(made)), both.new_zeros(len(real))])
    weights = logistic_regression((both - mean) / spread, labels)
    found = area_under_curve(*(side @ (weights[:-1] / spread) for side in ranked))
    return Fold(weights, mean, spread, *found)


def _mean_area(folds: tuple[Fold, Fold]) -> float:
    return (folds[0].area + folds[1].area) / 2
