"""The standard error of the classifier two-sample test: what each item does as one that is learnt and as one ranked."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from genbench.metrics.constants import C2ST_PENALTY

__all__ = ["Effects", "Fold", "Half", "cross_fitted_error", "left_out_effects", "newton_steps", "placements"]

Half: TypeAlias = tuple[Tensor, Tensor]  # samples and data, (m, d) and (n, d) float64

_LEAST_SHARE = 0.9  # of the mean of the two areas' own errors
_SCORES = 2**20  # held at once


class Fold(NamedTuple):
    """What one half taught, and how well it ranks the other half."""

    weights: Tensor  # (d + 1,) of the standardised features, the intercept last
    mean: Tensor  # (d,)
    spread: Tensor  # (d,)
    area: float
    error: float  # with the regression taken as given


class Effects(NamedTuple):
    """How one fold's area changes when items are left out; samples first, then data."""

    learnt: Tensor  # (l,) without each item that taught it
    ranked: Tensor  # (r,) without each item that it ranks
    both: Tensor  # (l, r) float32: without one of either, minus the sum of the two


def cross_fitted_error(halves: tuple[Half, Half], folds: tuple[Fold, Fold]) -> float:
    """Return the standard error of the mean of two areas whose regressions were each fitted to the other's half.

    Delete-one jackknife, stratified by side and half: an item teaches one regression and is ranked by the other, and
    the two effects are added before they are squared:
    `J = Σ_strata (m − 1)/m Σ_i (θ₍i₎ − θ̄)²`. Where the sides hardly differ, the number is almost a product of the
    halves' differences, and a jackknife counts the variance of such a part of second order twice. That part is
    `P = Σ (θ₍ij₎ − θ₍i₎ − θ₍j₎ + θ)²` over pairs of items from different halves. `J − P` would be right in the mean,
    but scatters so much that it may be negative, so s² = J/(1 + min(P/J, 1)), which is close to it for a small P and
    lies between J/2 and J.

    A plane that hardly anything determines, in one or two features, flips rather than turns, which no single item
    brings about. Hence s is at least 0.9 times the mean of the errors that take the regressions as given. That mean is
    right there, where the areas move together, and √2 times too wide for two areas that are independent. Coverage:
    docs/metrics.md.

    Paper: Efron & Stein 1981, "The jackknife estimate of variance", https://doi.org/10.1214/aos/1176345462

    Args:
        halves: the items, in halves.
        folds: what was learnt from the first half and from the second.

    Returns:
        0 where neither regression finds the sides overlapping, or any difference at all.
    """
    given = (folds[0].error + folds[1].error) / 2
    if given == 0:
        return 0.0
    first, second = (left_out_effects(folds[half], halves[half], halves[1 - half]) for half in (0, 1))
    summed = _variance(first.learnt + second.ranked, halves[0]) + _variance(second.learnt + first.ranked, halves[1])
    jackknife = summed / 4  # the number is half the sum of the areas
    pairs = float(first.both.add_(second.both.T).square_().sum(dtype=torch.float64)) / 4
    corrected = jackknife / (1 + min(pairs / jackknife, 1)) if jackknife else 0.0
    return max(math.sqrt(corrected), _LEAST_SHARE * given)


def left_out_effects(fold: Fold, learnt: Half, ranked: Half) -> Effects:
    """Return how the fold's area changes without each item, and each pair of a learnt and a ranked item.

    Args:
        fold: what was learnt.
        learnt: the half that it was learnt from.
        ranked: the other half, at least two items a side.
    """
    rows, others = ((torch.cat(half) - fold.mean) / fold.spread for half in (learnt, ranked))
    labels = torch.cat([rows.new_ones(len(learnt[0])), rows.new_zeros(len(learnt[1]))])
    steps = newton_steps(rows, labels, fold.weights)
    scores = others @ fold.weights[:-1]
    made, real = map(len, ranked)
    left = torch.cat([rows.new_full((made,), made - 1), rows.new_full((real,), real - 1)])

    def areas(of: Tensor) -> tuple[Tensor, Tensor]:
        """The area of each row of scores, and how it changes without each ranked item."""
        above, below = of[:, :made].contiguous(), of[:, made:].contiguous()
        beaten = torch.cat([placements(above, below), 1 - placements(below, above)], dim=1)
        area = beaten[:, :made].mean(dim=1)
        return area, (area[:, None] - beaten) / left

    (area,), (without,) = areas(scores[None])
    alone, both = rows.new_empty(len(rows)), torch.empty(len(rows), len(others), device=rows.device)
    for some in torch.arange(len(rows), device=rows.device).split(max(1, _SCORES // len(others))):
        found, changes = areas(scores + steps[some] @ others.T)
        alone[some], both[some] = found - area, (changes - without).float()
    return Effects(alone, without, both)


def newton_steps(features: Tensor, labels: Tensor, weights: Tensor, *, penalty: float = C2ST_PENALTY) -> Tensor:
    """Return (n, d): how the weights of a logistic regression change without each item, by one step of Newton's.

    From the minimum, without item i, the step is `H⁻¹x_i (p_i − y_i)/(1 − h_i)`, with H the whole loss's curvature, p_i
    the fitted probability and `h_i = p_i(1 − p_i) x_iᵀH⁻¹x_i` the item's leverage. The intercept is eliminated by
    centring the features with weights p(1 − p). With more features than items, the system has one equation per item.

    Paper: Pregibon 1981, "Logistic regression diagnostics", https://doi.org/10.1214/aos/1176345513

    Args:
        features: (n, d) float64.
        labels: (n,) float64, 0 or 1.
        weights: (d + 1,) the minimum, the intercept last.
        penalty: of the regression.
    """
    shares = (features @ weights[:-1] + weights[-1]).sigmoid()
    curvatures = shares * (1 - shares)
    centred = features - curvatures @ features / curvatures.sum()
    wide = features.shape[1] > len(features)
    system = (centred @ centred.T) * curvatures if wide else (centred.T * curvatures) @ centred
    system.diagonal().add_(penalty)
    solved: Tensor = torch.linalg.solve(system, centred) if wide else torch.linalg.solve(system, centred.T).T
    leverages = curvatures * (1 / curvatures.sum() + (centred * solved).sum(dim=1))
    return solved * ((shares - labels) / (1 - leverages))[:, None]


def placements(scores: Tensor, others: Tensor) -> Tensor:
    """Return (..., m) float64: the share of the others that each score exceeds, ties as ½.

    Args:
        scores: (..., m), contiguous.
        others: (..., n), likewise.
    """
    ordered = others.sort(dim=-1).values
    below = torch.searchsorted(ordered, scores) + torch.searchsorted(ordered, scores, right=True)
    return below.double() / (2 * others.shape[-1])


def _variance(changes: Tensor, half: Half) -> float:
    """Return `Σ (m − 1)/m Σ (change − their mean)²` over the samples and the data of one half."""
    parts = changes.split([len(side) for side in half])
    return sum(float(part.var()) * (len(part) - 1) ** 2 / len(part) for part in parts)
