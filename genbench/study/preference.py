"""Preferences: strengths of models from choices between two, what stands in the way of reading them as an order."""

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
"""Points for each unit of log-odds: 400 points are odds of 10 to 1."""

_STEPS = 100  # of Newton's method at the most; it takes about ten
_LONGEST_STEP = 2.0  # in log-odds
_TOLERANCE = 1e-9
_LEAST_CURVATURE = 1e-9  # so that models nobody compared stay at 0


@dataclass(frozen=True)
class Votes:
    """The votes of R raters between K models.

    Args:
        models: their names.
        wins: (R, K, K): how often a rater preferred the first model to the second; a tie is half a win of each.
        left: (R,): answers for what stood on the left, among those that were no ties.
        decided: (R,): answers that were no ties.
        ties: (R,).
    """

    models: tuple[str, ...]
    wins: Array
    left: Array
    decided: Array
    ties: Array


@dataclass(frozen=True)
class Pair:
    """How often the first model was preferred to the second, ties as halves; p-value against one half after Holm."""

    first: str
    second: str
    share: Interval
    votes: int
    p_holm: float


@dataclass(frozen=True)
class Preferences:
    """What votes say.

    Args:
        elo: model -> its strength in Elo points; the mean of the models is 0.
        regularised: whether some models won or lost everything, so that each pair got half a win both ways.
        pairs: each two models.
        left: share of the decided answers that went to the left side; one half without position bias.
        ties: share of answers that were ties.
        circles: triples of models of which the first was mostly preferred to the second, that to the third, and that
            to the first.
        transitivity_p: of the test that strengths alone explain the votes; None where there is nothing to test.
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

    Where a model won or lost everything, against the rest together or alone, the likelihood has no maximum (Ford 1957);
    then half a win is added to both sides of each pair that was compared, in the bootstrap's resamples too.

    Bradley & Terry (1952), Rank analysis of incomplete block designs, https://doi.org/10.2307/2334029
    """
    raters = len(votes.wins)
    total = votes.wins.sum(0)
    drawn = np.tensordot(resamples(raters, seed, draws), votes.wins, 1)  # (draws, K, K)
    regularised = not bool(_connected(total[None])[0])
    strengths = log_strengths(total[None], regularised)[0]
    drawn_strengths = log_strengths(drawn, regularised)
    left_out = log_strengths(total - votes.wins, regularised)
    elo = {
        model: percentiles(ELO * float(strengths[place]), ELO * drawn_strengths[:, place], ELO * left_out[:, place])
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
        transitivity_p=None if raters < LEAST_RATERS else _misfit_p(total, drawn, strengths, drawn_strengths, raters),
    )


def log_strengths(wins: Array, regularised: bool = False) -> Array:
    r"""Return the log-strengths of Bradley and Terry, (B, K), each row of mean 0, that make the wins most likely.

    :math:`P(i \succ j) = 1 / (1 + e^{s_j - s_i})`, by Newton's method on all tables at once.

    Args:
        wins: (B, K, K), of the first model over the second; rows without a maximum are regularised (`preferences`).
        regularised: whether all are.
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
        # Adding a constant moves nothing, which makes the matrix singular: all models together are held at 0.
        step = np.linalg.solve(curvature + 1.0 / count, slope[:, :, None])[:, :, 0]
        step = np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        strengths += step - step.mean(1, keepdims=True)
        if np.abs(step).max() < _TOLERANCE:
            break
    return strengths


def _connected(wins: Array) -> NDArray[np.bool_]:
    """Return for each table, (B, K, K), whether each model beat each other, straight or through others."""
    reached = (wins > 0) | np.eye(wins.shape[1], dtype=bool)
    for _ in range(math.ceil(math.log2(wins.shape[1])) + 1):
        reached = np.matmul(reached.astype(np.float32), reached.astype(np.float32)) > 0
    return np.asarray(reached.all((1, 2)))


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


def _misfit_p(total: Array, drawn: Array, strengths: Array, drawn_strengths: Array, raters: int) -> float | None:
    """Return the p of the test that strengths explain the shares of wins; None for two models, which they always do.

    The statistic is the sum of the pairs' squared residuals, in variances of a share. What it is where strengths do
    explain the shares, is taken from resamples of raters, with the residuals of all raters subtracted, and widened as
    `clusters.percentiles` are: a chi-squared distribution would take each vote for independent.
    """
    if len(strengths) < 3:
        return None
    upper = np.triu_indices(len(strengths), 1)

    def residuals(wins: Array, levels: Array) -> tuple[Array, Array]:
        games = (wins + wins.transpose(0, 2, 1))[:, *upper]
        expected = 1 / (1 + np.exp(levels[:, None, :] - levels[:, :, None]))[:, *upper]
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = wins[:, *upper] / games
        return np.where(games > 0, shares - expected, 0.0), games / (expected * (1 - expected))

    found, weight = residuals(total[None], strengths[None])
    others, _ = residuals(drawn, drawn_strengths)
    statistic = float((weight * found**2).sum())
    null = (weight * (others - found) ** 2).sum(1) * raters / (raters - 1)
    return float((1 + (null >= statistic).sum()) / (1 + len(null)))
