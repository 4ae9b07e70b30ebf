"""The models over the datasets that they share, best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genbench.aggregate.interquartile import interquartile_mean
from genbench.aggregate.ranking import Ranking, ranking
from genbench.aggregate.strata import Estimate, Strata, stratified
from genbench.records.intervals import Mean
from genbench.report.across import Across

__all__ = ["Standing", "in_standing_order", "mean_ranks", "mean_score", "standings"]


@dataclass(frozen=True)
class Standing:
    """One model over the shared datasets: interquartile mean and mean of its scores, and the number of `runs`."""

    model: str
    middle: Estimate
    mean: Estimate
    runs: int


def standings(found: Across, seed: int = 0) -> list[Standing]:
    """Return the models of the shared datasets by interquartile mean, highest first.

    Args:
        found: must have shared datasets.
        seed: of the bootstrap's draws.
    """
    models, datasets = found.shared
    made = []
    for model in models:
        strata = {name: found.scores[model][name] for name in datasets}
        runs = sum(map(len, strata.values()))
        made.append(Standing(model, interquartile_mean(strata, seed), mean_score(strata), runs))
    return sorted(made, key=lambda standing: (-standing.middle.value, standing.model))


def mean_score(strata: Strata) -> Estimate:
    """Return the mean over datasets of the mean over seeds, with its t interval."""
    return stratified((1 / len(strata), Mean.of(values)) for values in strata.values())


def in_standing_order(found: Across, made: Sequence[Standing]) -> list[str]:
    """Return every model: those in the standings, best first, then the others by name."""
    standing = [one.model for one in made]
    return [*standing, *(model for model in found.outcomes if model not in standing)]


def mean_ranks(found: Across) -> Ranking:
    """Return the ranks of the shared models over the shared datasets, by mean score."""
    models, datasets = found.shared
    return ranking(
        {model: {name: mean_score({name: found.scores[model][name]}).value for name in datasets} for model in models}
    )
