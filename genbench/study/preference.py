"""Preferences: strengths of models from pairwise choices, and what argues against reading them as a ranking."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbench.records.statistics import holm
from genbench.study.clusters import DRAWS, LEAST_RATERS, Interval, mean_p, percentiles, resamples, share

__all__ = ["ELO", "Pair", "Preferences", "Votes", "log_strengths", "preferences"]

Array = NDArray[np.float64]

ELO = 400 / math.log(10)
"""Points per unit of log-odds: 400 points are odds of 10 to 1."""

_STEPS = 100  # maximum for Newton's method, which takes about ten
_LONGEST_STEP = 2.0  # in log-odds
_TOLERANCE = 1e-9
_LEAST_CURVATURE = 1e-9  # keeps models that nobody compared at 0


@dataclass(frozen=True)
class Votes:
    """The votes of R raters between K models.

    Args:
        models: their names.
        wins: (R, K, K): how often a rater preferred the first model to the second; a tie is half a win for each.
        left: (R,): answers for the item on the left, excluding ties.
        decided: (R,): answers other than ties.
        ties: (R,).
    """

    models: tuple[str, ...]
    wins: Array
    left: Array
    decided: Array
    ties: Array


@dataclass(frozen=True)
class Pair:
    """How often the first model was preferred to the second, ties as half; Holm-corrected p-value against one half."""

    first: str
    second: str
    share: Interval
    votes: int
    p_holm: float


@dataclass(frozen=True)
class Preferences:
    """The results of the votes.

    Args:
        elo: model -> its strength in Elo points; the mean of the models is 0. Without intervals if regularised.
        regularised: whether some models won or lost everything, so that half a win was added to both sides of each
            pair.
        pairs: every pair of models.
        left: share of the decided answers for the left side; one half without position bias.
        ties: share of answers that were ties.
        circles: cyclic triples of models: the first was mostly preferred to the second, the second to the third, and
            the third to the first.
        transitivity_p: p-value of the test that strengths alone explain the votes; None if there is nothing to test.
    """

    elo: dict[str, Interval]
    regularised: bool
    pairs: tuple[Pair, ...]
    left: Interval
    ties: Interval
    circles: tuple[tuple[str, str, str], ...]
    transitivity_p: float | None


def preferences(votes: Votes, seed: int, draws: int = DRAWS) -> Preferences:
    """Return strengths, pairs and biases with their intervals over raters.

    If a model or a group of models won or lost everything against the rest, the likelihood has no maximum (Ford 1957);
    half a win is then added to both sides of each compared pair. Such strengths have no intervals: the votes only bound
    them on one side, and the bootstrap would measure little more than the constant that was added.

    Bradley & Terry (1952), Rank analysis of incomplete block designs, https://doi.org/10.2307/2334029
    """
    raters = len(votes.wins)
    total = votes.wins.sum(0)
    drawn = np.tensordot(resamples(raters, seed, draws), votes.wins, 1)  # (draws, K, K)
    regularised = not bool(_connected(total[None])[0])
    strengths = log_strengths(total[None], regularised)[0]
    if regularised:
        elo = {model: Interval(ELO * float(strengths[place]), None, None) for place, model in enumerate(votes.models)}
    else:
        others, left_out = ELO * log_strengths(drawn), ELO * log_strengths(total - votes.wins)
        elo = {
            model: percentiles(ELO * float(strengths[place]), others[:, place], left_out[:, place])
            for place, model in enumerate(votes.models)
        }
    decided = votes.decided > 0
    left = votes.left[decided] / votes.decided[decided]
    answers = votes.decided + votes.ties
    return Preferences(
        elo=elo,
        regularised=regularised,
        pairs=_pairs(votes, seed),
        left=share(left, int(votes.decided.sum()), seed) if left.size else Interval(math.nan, None, None),
        ties=share(votes.ties / answers, int(answers.sum()), seed),
        circles=_circles(votes.models, total),
        transitivity_p=None if raters < LEAST_RATERS else _misfit_p(total, drawn, raters),
    )


def log_strengths(wins: Array, regularised: bool = False) -> Array:
    r"""Return the maximum-likelihood Bradley-Terry log-strengths, (B, K), each row with mean 0.

    :math:`P(i \succ j) = 1 / (1 + e^{s_j - s_i})`, by Newton's method on all tables at once.

    Args:
        wins: (B, K, K), of the first model over the second; tables without a maximum are regularised (`preferences`).
        regularised: whether to regularise all tables.
    """
    compared = (wins + wins.transpose(0, 2, 1)) > 0
    wanting = np.ones(len(wins), dtype=bool) if regularised else ~_connected(wins)
    wins = wins + 0.5 * compared * wanting[:, None, None]
    games = wins + wins.transpose(0, 2, 1)
    count = wins.shape[1]
    strengths = np.zeros(wins.shape[:2])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(strengths[:, None, :] - strengths[:, :, None]))
        slope = (wins - games * chance).sum(2)
        weight = games * chance * (1 - chance)
        curvature = np.eye(count) * (weight.sum(2)[:, :, None] + _LEAST_CURVATURE) - weight
        # Adding a constant changes nothing, which makes the matrix singular: the models' sum is held at 0.
        step = np.linalg.solve(curvature + 1.0 / count, slope[:, :, None])[:, :, 0]
        step = np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        strengths += step - step.mean(1, keepdims=True)
        if np.abs(step).max() < _TOLERANCE:
            break
    return strengths


def _connected(wins: Array) -> NDArray[np.bool_]:
    """Return for each table, (B, K, K), whether each model beat each other one, directly or through others."""
    return np.asarray(_reached(wins).all((1, 2)))


def _reached(wins: Array) -> NDArray[np.bool_]:
    """Return which models beat which, directly or through others, (B, K, K); each one itself."""
    reached = (wins > 0) | np.eye(wins.shape[1], dtype=bool)
    for _ in range(math.ceil(math.log2(wins.shape[1])) + 1):
        reached = np.matmul(reached.astype(np.float32), reached.astype(np.float32)) > 0
    return reached


def _pairs(votes: Votes, seed: int) -> tuple[Pair, ...]:
    places = list(itertools.combinations(range(len(votes.models)), 2))
    shares, games = [], []
    for one, other in places:
        won, lost = votes.wins[:, one, other], votes.wins[:, other, one]
        asked = won + lost > 0
        shares.append(won[asked] / (won + lost)[asked])
        games.append(int((won + lost).sum()))
    corrected = holm([mean_p(values - 0.5) if values.size else 1.0 for values in shares])
    return tuple(
        Pair(
            votes.models[one],
            votes.models[other],
            share(values, count, seed) if values.size else Interval(math.nan, None, None),
            count,
            p,
        )
        for (one, other), values, count, p in zip(places, shares, games, corrected, strict=True)
    )


def _circles(models: Sequence[str], wins: Array) -> tuple[tuple[str, str, str], ...]:
    better = wins > wins.T
    return tuple(
        (models[a], models[b], models[c])
        for first, second, third in itertools.combinations(range(len(models)), 3)
        for a, b, c in ((first, second, third), (first, third, second))
        if better[a, b] and better[b, c] and better[c, a]
    )


def _misfit_p(total: Array, drawn: Array, raters: int) -> float | None:
    """Return the p-value of the test that strengths alone explain the shares of wins; None if nothing tests it.

    Between two groups of which one won everything, infinitely different strengths explain all votes, and within two
    models, strengths always do. What is tested are the shares within each group of three or more models that all beat
    each other, directly or through others.
    """
    mutual = _reached(total[None])[0]
    mutual &= mutual.T
    groups = [np.array(group) for group in sorted({tuple(np.flatnonzero(row)) for row in mutual}) if len(group) > 2]
    if not groups:
        return None
    found = [_misfit(total[np.ix_(group, group)], drawn[:, group[:, None], group], raters) for group in groups]
    statistic, null = sum(one for one, _ in found), np.sum([other for _, other in found], axis=0)
    return float((1 + (null >= statistic).sum()) / (1 + len(null)))


def _misfit(total: Array, drawn: Array, raters: int) -> tuple[float, Array]:
    """Return the sum of the pairs' squared residuals, in units of a share's variance, and its null distribution.

    The latter comes from resamples of raters, with the residuals of all raters subtracted, and is widened as in
    `clusters.percentiles`: a chi-squared distribution would treat each vote as independent.
    """
    upper = np.triu_indices(len(total), 1)

    def residuals(wins: Array) -> tuple[Array, Array]:
        levels = log_strengths(wins)
        games = (wins + wins.transpose(0, 2, 1))[:, *upper]
        expected = 1 / (1 + np.exp(levels[:, None, :] - levels[:, :, None]))[:, *upper]
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = wins[:, *upper] / games
        return np.where(games > 0, shares - expected, 0.0), games / (expected * (1 - expected))

    found, weight = residuals(total[None])
    others, _ = residuals(drawn)
    return float((weight * found**2).sum()), (weight * (others - found) ** 2).sum(1) * raters / (raters - 1)
