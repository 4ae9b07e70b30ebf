"""What the charts of an aggregate show: interquartile means, performance profiles, scores by dataset, mean ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genbench.aggregate.profiles import profile
from genbench.aggregate.ranking import LEAST_DATASETS
from genbench.records.score import ONE
from genbench.records.statistics import summarise
from genbench.report.across import Across
from genbench.report.chart import Chart, Extent, Mark, Panel
from genbench.report.curves import MOST_LINES
from genbench.report.speeds import MOST_BARS
from genbench.report.standings import Standing, in_standing_order, mean_ranks

__all__ = ["across_charts"]

_NEAR = 0.5  # how far beyond the scores a control is still drawn, so that the points are not squeezed


def across_charts(found: Across, made: Sequence[Standing]) -> dict[str, Chart]:
    """Return the charts of one budget's aggregate: kind -> chart, for each figure of `across_figures.draw_across`.

    Args:
        found: the results across its datasets, without a fault.
        made: its standings.
    """
    charts = {"scores": _standing(found, made), "places": _places(found, in_standing_order(found, made))}
    if len(found.shared[1]) >= LEAST_DATASETS:
        charts["ranks"] = _ranks(found)
    return charts


def _standing(found: Across, made: Sequence[Standing]) -> Chart:
    models, datasets = [one.model for one in made], found.shared[1]
    middles = {
        one.model: [Mark(Extent.around(one.middle.value, one.middle.half_width), place)]
        for place, one in enumerate(made)
    }
    ends = [end for (mark,) in middles.values() for end in (mark.x.low, mark.x.value, mark.x.high) if end is not None]
    strata = {model: {name: found.scores[model][name] for name in datasets} for model in models}
    every = [score for held in strata.values() for values in held.values() for score in values]
    room = 0.05 * (max(every) - min(every)) or 0.05
    return Chart(
        [
            Panel("points", "interquartile mean score →", "", middles, models, uprights=_controls(found, ends)),
            Panel(
                *("steps", "score τ", "share of runs above τ"),
                {model: _profile(held, min(every) - room, max(every) + room) for model, held in strata.items()},
                interval="pointwise 95% band",
                most=MOST_LINES,
            ),
        ],
        MOST_BARS,
    )


def _profile(strata: Mapping[str, Sequence[float]], low: float, high: float) -> list[Mark]:
    """Return the share of runs above each of their own scores: between two of them it does not change."""
    at = sorted({low, high, *(score for values in strata.values() for score in values)})
    found = profile(strata, at)
    return [
        Mark(Extent(score), Extent(*ends))
        for score, *ends in zip(at, found.shares.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    ]


def _places(found: Across, models: Sequence[str]) -> Chart:
    names = [place.name for place in found.scored]
    marks: dict[str, list[Mark]] = {}
    for model in models:
        held = found.scores.get(model, {})
        scores = {name: found.outcomes[model][name].scores for name in names if name in held}
        marks[model] = [
            Mark(
                Extent.of(summarise(held[name])),
                names.index(name),
                [(seed, score, None) for seed, score in sorted(seeds.items())],
            )
            for name, seeds in scores.items()
        ]
    marks = {model: held for model, held in marks.items() if held}
    means = [mark.x.value for held in marks.values() for mark in held]
    return Chart([Panel("points", "score →", "", marks, names, uprights=_controls(found, means))], MOST_LINES)


def _controls(found: Across, values: Sequence[float]) -> list[tuple[str, float]]:
    """Return the controls at 0 and 1 that are among the values or close to them."""
    zeros = "/".join(dict.fromkeys(place.zero for place in found.scored))
    low, high = min(values) - _NEAR, max(values) + _NEAR
    return [(name, level) for name, level in ((zeros, 0.0), (ONE, 1.0)) if low <= level <= high]


def _ranks(found: Across) -> Chart:
    """Return the mean ranks, a row for each model, and below them a row for each clique with all of its models."""
    ranked = mean_ranks(found)
    models = list(ranked.ranks)
    marks = {model: [Mark(Extent(rank), place)] for place, (model, rank) in enumerate(ranked.ranks.items())}
    rows = [*models, *("not resolved" for _ in ranked.cliques)]
    for place, clique in enumerate(ranked.cliques, start=len(models)):
        low, high = (ranked.ranks[model] for model in (clique[0], clique[-1]))
        for model in clique:
            marks[model].append(Mark(Extent(ranked.ranks[model], low, high), place))
    return Chart([Panel("ranks", "mean rank ←", "", marks, rows, interval="range without a resolved pair")], MOST_BARS)
