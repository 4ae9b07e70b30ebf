"""Mean ranks over datasets and which of them differ, as shown in a critical-difference diagram."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from genbench.records.statistics import holm, is_resolved

__all__ = ["LEAST_DATASETS", "Ranking", "mid_ranks", "ranking", "signed_rank_p"]

Array = NDArray[np.float64]

LEAST_DATASETS = 10
"""With fewer, almost nothing can be resolved: with five, the smallest p-value of Wilcoxon's test is 0.0625."""


@dataclass(frozen=True)
class Ranking:
    """Mean ranks over datasets, the best (lowest) first.

    Args:
        ranks: model -> mean rank, best first.
        p: p-value of Friedman's test that no model differs from another (Iman and Davenport's F).
        p_holm: pair of models, better first -> Holm-corrected p-value of Wilcoxon's signed-rank test.
        cliques: the maximal runs of two or more neighbours in which no pair is resolved.
    """

    ranks: Mapping[str, float]
    p: float
    p_holm: Mapping[tuple[str, str], float]
    cliques: tuple[tuple[str, ...], ...]


def ranking(means: Mapping[str, Mapping[str, float]]) -> Ranking:
    """Return mean ranks with Friedman's test, and every pair with Wilcoxon's signed-rank test after Holm.

    Here the datasets are the sample: the claim is that another dataset of the same kind would agree. Pairs are tested
    with Wilcoxon rather than Nemenyi's critical difference, which depends on which other models are present.

    Demšar (2006), Statistical comparisons of classifiers over multiple data sets,
    https://www.jmlr.org/papers/v7/demsar06a.html
    Benavoli, Corani & Mangili (2016), Should we really use post-hoc tests based on mean-ranks?,
    https://www.jmlr.org/papers/v17/benavoli16a.html
    Ismail Fawaz et al. (2019), Deep learning for time series classification: a review (the cliques),
    https://doi.org/10.1007/s10618-019-00619-1

    Args:
        means: model -> dataset -> mean score, higher is better: at least two models, all on the same datasets.

    Raises:
        ValueError: fewer than `LEAST_DATASETS` datasets.
    """
    datasets = sorted(next(iter(means.values())))
    if len(datasets) < LEAST_DATASETS:
        raise ValueError(f"{len(datasets)} datasets; comparing ranks needs at least {LEAST_DATASETS}")
    table = np.array([[means[model][dataset] for model in means] for dataset in datasets])  # (datasets, models)
    ranked = np.array([mid_ranks(-row) for row in table])
    average = dict(zip(means, ranked.mean(axis=0).tolist(), strict=True))
    order = sorted(means, key=lambda model: (average[model], model))
    p = _friedman(ranked)
    pairs = list(itertools.combinations(order, 2))
    differences = [[means[one][name] - means[other][name] for name in datasets] for one, other in pairs]
    p_holm = dict(zip(pairs, holm([signed_rank_p(values) for values in differences]), strict=True))
    return Ranking({model: average[model] for model in order}, p, p_holm, _cliques(order, p_holm))


def mid_ranks(values: Array) -> Array:
    """Return the ranks of values, (n,); the smallest has rank 1 and ties share their mean rank.

    >>> mid_ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    ordered = np.sort(values)
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((below + up_to + 1) / 2)


def signed_rank_p(differences: Sequence[float]) -> float:
    """Return the exact two-sided p-value of Wilcoxon's signed-rank test that differences are symmetric about 0.

    Zero differences are dropped and ties share their mean rank. The null distribution of the sum is computed over all
    sign assignments of the observed ranks, so no table or approximation is needed, even with ties.

    Wilcoxon (1945), Individual comparisons by ranking methods, https://doi.org/10.2307/3001968

    >>> signed_rank_p([1.0, 2.0, 3.0, 4.0, 5.0])
    0.0625
    """
    given = np.asarray([difference for difference in differences if difference != 0.0])
    if not given.size:
        return 1.0
    doubled = np.rint(2 * mid_ranks(np.abs(given))).astype(int)  # integers, as ranks may be halves
    chances = np.ones(1)
    for rank in doubled.tolist():
        positive = np.pad(chances, (rank, 0))
        chances = (np.pad(chances, (0, rank)) + positive) / 2
    above = int(doubled[given > 0].sum())
    tail = min(above, int(doubled.sum()) - above)
    return min(1.0, 2 * float(chances[: tail + 1].sum()))


def _friedman(ranked: Array) -> float:
    """Return the p-value of Iman and Davenport's F for ranks (datasets, models), accounting for ties."""
    count, models = ranked.shape
    middle = (models + 1) / 2
    spread = float(((ranked - middle) ** 2).sum())
    if spread == 0:
        return 1.0
    squared = (models - 1) * float(((ranked.sum(axis=0) - count * middle) ** 2).sum()) / spread
    left = count * (models - 1) - squared
    if left < 1e-9:  # every dataset gives the same order
        return 0.0
    return float(special.fdtrc(models - 1, (models - 1) * (count - 1), (count - 1) * squared / left))


def _cliques(order: list[str], p_holm: Mapping[tuple[str, str], float]) -> tuple[tuple[str, ...], ...]:
    found: list[tuple[int, int]] = []
    for start in range(len(order)):
        end = start
        while end + 1 < len(order) and not any(
            is_resolved(p_holm[one, order[end + 1]]) for one in order[start : end + 1]
        ):
            end += 1
        if end > start and (not found or end > found[-1][1]):
            found.append((start, end))
    return tuple(tuple(order[start : end + 1]) for start, end in found)
