"""Mean ranks over datasets, and which of them differ: what a critical-difference diagram shows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genbench.records.statistics import holm, is_resolved

__all__ = ["LEAST_DATASETS", "Ranking", "ranking"]

LEAST_DATASETS = 10
"""Over fewer, next to nothing can be told: over five the smallest p of Wilcoxon's test is 0.0625."""


@dataclass(frozen=True)
class Ranking:
    """Mean ranks over datasets, the best (lowest) first.

    Args:
        ranks: model -> mean rank, in this order.
        p: of Friedman's test that no model differs from another (Iman and Davenport's F).
        p_holm: pair of models, the better first -> p of Wilcoxon's signed-rank test, Holm-corrected.
        cliques: the longest runs of two or more neighbours of which no pair is resolved.
    """

    ranks: Mapping[str, float]
    p: float
    p_holm: Mapping[tuple[str, str], float]
    cliques: tuple[tuple[str, ...], ...]


def ranking(means: Mapping[str, Mapping[str, float]]) -> Ranking:
    """Return mean ranks with Friedman's test, and the pairs by Wilcoxon's signed-rank test after Holm.

    Here the datasets are the sample: what is claimed is that the next dataset of their kind would say the same. Pairs
    are tested by Wilcoxon and not by Nemenyi's critical difference, which depends on what other models there are.

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
    from scipy import special, stats  # the latter takes most of a second to import, and ten datasets are rare

    datasets = sorted(next(iter(means.values())))
    if len(datasets) < LEAST_DATASETS:
        raise ValueError(f"{len(datasets)} datasets; ranks are compared from {LEAST_DATASETS} on")
    table = np.array([[means[model][dataset] for model in means] for dataset in datasets])  # (datasets, models)
    count, models = table.shape
    ranked = stats.rankdata(-table, axis=1)
    average = dict(zip(means, ranked.mean(axis=0).tolist(), strict=True))
    order = sorted(means, key=lambda model: (average[model], model))
    spread = float(((ranked - (models + 1) / 2) ** 2).sum())
    squared = (
        (models - 1) * float(((ranked.sum(axis=0) - count * (models + 1) / 2) ** 2).sum()) / spread if spread else 0.0
    )
    left = count * (models - 1) - squared  # 0 where every dataset has the same order
    p = (
        float(special.fdtrc(models - 1, (models - 1) * (count - 1), (count - 1) * squared / left))
        if left > 1e-9
        else 0.0
    )
    pairs = list(itertools.combinations(order, 2))
    differences = [[means[one][name] - means[other][name] for name in datasets] for one, other in pairs]
    tests = [float(stats.wilcoxon(values).pvalue) if any(values) else 1.0 for values in differences]
    p_holm = dict(zip(pairs, holm(tests), strict=True))
    return Ranking({model: average[model] for model in order}, p, p_holm, _cliques(order, p_holm))


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
