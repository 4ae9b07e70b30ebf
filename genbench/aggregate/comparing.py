"""Every pair of models over the datasets that both were run on: differences, wins, and probability of being better."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from genbench.aggregate.strata import Estimate, Strata, share_interval, stratified
from genbench.records.intervals import Mean
from genbench.records.statistics import holm, is_resolved

__all__ = ["Pair", "chance_of_more", "matrix", "mean_difference"]


@dataclass(frozen=True)
class Pair:
    """Two models on the `datasets` on which both have scores.

    `difference` is the mean of first minus second over these datasets; `p_holm` is corrected over all pairs with a
    p-value. `chance` is the probability that a seed of the first scores above a seed of the second, averaged over the
    datasets; `chance_interval` is its interval.
    """

    first: str
    second: str
    datasets: tuple[str, ...]
    difference: Estimate
    chance: float
    chance_interval: tuple[float, float]
    p_holm: float | None = None

    @property
    def resolved(self) -> bool:
        """Whether the mean scores differ at the 5% level, family-wise."""
        return is_resolved(self.p_holm)


def matrix(scores: Mapping[str, Strata]) -> list[Pair]:
    """Return every pair of models that share a dataset, in input order, Holm-corrected over the pairs with a p-value.

    Args:
        scores: model -> dataset -> scores, one per training seed, higher is better. A dataset that a model was not run
            on is missing or empty.
    """
    pairs = [
        _pair(first, second, shared, scores)
        for first, second in itertools.combinations(scores, 2)
        if (shared := _shared(scores[first], scores[second]))
    ]
    corrected = iter(holm([pair.difference.p for pair in pairs if pair.difference.p is not None]))
    return [pair if pair.difference.p is None else replace(pair, p_holm=next(corrected)) for pair in pairs]


def mean_difference(first: Strata, second: Strata) -> Estimate:
    """Return the mean over datasets of first minus second, with the t interval and p-value of a stratified difference.

    Seeds of two models have nothing in common, so each model's seeds on each dataset form a separate sample with a
    separate variance. The result describes these datasets; it does not claim that another dataset would agree.

    Args:
        first: dataset -> scores, for the datasets that both models have.
        second: likewise.

    Example:
        >>> found = mean_difference({"a": [1.0, 3.0], "b": [4.0, 4.0]}, {"a": [1.0, 1.0], "b": [2.0, 2.0]})
        >>> found.value
        1.5
    """
    weight = 1 / len(first)
    parts = [(sign * weight, Mean.of(values)) for sign, side in ((1, first), (-1, second)) for values in side.values()]
    return stratified(parts)


def chance_of_more(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the share of pairs of values in which the first is greater; ties count one half.

    Mann & Whitney (1947), On a test of whether one of two random variables is stochastically larger than the other,
    https://doi.org/10.1214/aoms/1177730491

    >>> chance_of_more([3.0, 1.0], [1.0, 0.0])
    0.875
    """
    signs = np.sign(np.subtract.outer(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)))
    return float((1 + signs.mean()) / 2)


def _shared(first: Strata, second: Strata) -> tuple[str, ...]:
    return tuple(name for name, values in first.items() if values and second.get(name))


def _pair(first: str, second: str, shared: tuple[str, ...], scores: Mapping[str, Strata]) -> Pair:
    one, other = ({name: scores[model][name] for name in shared} for model in (first, second))
    chance = math.fsum(chance_of_more(one[name], other[name]) for name in shared) / len(shared)
    # The variance of a Mann-Whitney share θ is at most θ(1 − θ) divided by the smaller sample size (van Dantzig 1951).
    fewest = min(len(values) for side in (one, other) for values in side.values())
    interval = share_interval(chance, len(shared) * fewest)
    return Pair(first, second, shared, mean_difference(one, other), chance, interval)
