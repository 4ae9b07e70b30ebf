"""The part of a page across datasets, the same in `report.md` and `aggregate.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genbench.aggregate.comparing import matrix
from genbench.aggregate.ranking import LEAST_DATASETS
from genbench.records.score import ONE, ZERO
from genbench.report.across import Across
from genbench.report.across_tables import missing, pair_table, scale_table, score_table, standing_table
from genbench.report.chart import Chart
from genbench.report.escape import code, text
from genbench.report.formatting import p_value
from genbench.report.model import Details, Paragraph, Picture
from genbench.report.quantities import quantity
from genbench.report.standings import Standing, in_standing_order, mean_ranks
from genbench.report.statements import differing, mixed_recipes

__all__ = ["across_parts", "conflict"]

MOST_COMPARED = 40
"""More models than this are not compared pair by pair: the number of pairs grows quadratically."""

_MOST_PAIRS = 10  # more go into a fold


def conflict(found: Across) -> str | None:
    """Return a note that a dataset's number was measured under several recipes, and how they differ, or None."""
    for dataset, recipes in found.conflicts.items():
        fields = "; ".join(
            f"{name}: {', '.join(map(str, values.values()))}" for name, values in differing(recipes).items()
        )
        return f"{dataset} was measured under {len(recipes)} recipes ({', '.join(recipes)}), which differ in {fields}"
    return None


def across_parts(
    found: Across,
    made: Sequence[Standing],
    pictures: Mapping[str, str],
    seed: int = 0,
    charts: Mapping[str, Chart] | None = None,
) -> list[str]:
    """Return the parts for one budget, or why nothing can be aggregated.

    Args:
        found: the models and datasets.
        made: its standings; empty if it has a fault.
        pictures: `scores`, `places` and `ranks` -> the file, relative to the page, for those that were drawn.
        seed: of the bootstrap's draws.
        charts: what the pictures show.
    """
    drawn = _Drawn(pictures, charts or {})
    mixed = [
        f"{text(dataset)} is left out. {mixed_recipes(dataset, next(iter(_numbers(found)), 'fd'), recipes)}"
        for dataset, recipes in found.conflicts.items()
    ]
    if found.fault:
        return [*mixed, f"Nothing is aggregated for {code(found.budget)}: {text(found.fault)}."]
    models = in_standing_order(found, made)
    return [
        _opening(found),
        *mixed,
        _shared(found),
        standing_table(made),
        _how_wide(found, seed),
        *drawn.show("scores", "interquartile means and performance profiles", _PROFILE),
        "### Score by dataset",
        score_table(found, models),
        *_lacking(found),
        *drawn.show("places", "scores of each model on each dataset", _PLACES),
        "### Pairs of models",
        *_pairs(found, models),
        "### Ranks over datasets",
        *_ranks(found, drawn),
        "### Score scales",
        scale_table(found),
    ]


_MEANS = "interquartile means with 95% intervals"
_SHARES = (
    "the share of runs that score above each threshold, with equal weight for each dataset and a pointwise 95% band; "
    "higher curves are better."
)
_PROFILE = Paragraph(f"Left: {_MEANS}. Right: {_SHARES}", f"First {_MEANS}, then {_SHARES}")
_PLACES = "Mean scores with 95% intervals over seeds; dashed: the controls at 0 and 1."


@dataclass(frozen=True)
class _Drawn:
    """The figures of a page, and what each shows: kind -> file, and kind -> chart."""

    pictures: Mapping[str, str]
    charts: Mapping[str, Chart]

    def show(self, kind: str, alt: str, note: str) -> list[str]:
        """Return the figure with its note, or nothing if it was not drawn."""
        if kind not in self.pictures:
            return []
        return [Picture(alt, self.pictures[kind], chart=self.charts.get(kind)), note]


def _opening(found: Across) -> str:
    headings = " or ".join(text(quantity(name).heading) for name in _numbers(found))
    zeros = " or ".join(f"*{name}*" for name in ZERO if any(place.zero == name for place in found.scored))
    return (
        f"Trained for {code(found.budget)}. Scores are linear in the logarithm of {headings}: 0 is the value of the "
        f"control {zeros} on that dataset, 1 that of *{ONE}*. All datasets have equal weight. ± is the 95% interval "
        "over training seeds on these datasets; it covers neither other datasets nor the error of the controls, whose "
        "measured values are taken as exact."
    )


def _numbers(found: Across) -> dict[str, None]:
    return dict.fromkeys(place.number for place in found.places)


def _shared(found: Across) -> str:
    models, datasets = found.shared
    said = f"Over the {len(datasets)} datasets on which all models in the table have scores: {_names(datasets)}."
    unused = [place.name for place in found.scored if place.name not in datasets]
    apart = [model for model in found.scores if model not in models]
    if unused:
        without = {name: [code(model) for model in models if name not in found.scores[model]] for name in unused}
        reasons = ", ".join(f"{text(name)} ({', '.join(lacking)} without a score)" for name, lacking in without.items())
        said += f" Not included: {reasons}."
    if apart:
        said += (
            f" {', '.join(map(code, apart))} {'has' if len(apart) == 1 else 'have'} no score on some of them, and "
            f"{'is' if len(apart) == 1 else 'are'} only in the tables below."
        )
    return said


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(text, names))


def _how_wide(found: Across, seed: int) -> str:
    _, datasets = found.shared
    single = [model for model in found.shared[0] if any(len(found.scores[model][name]) < 2 for name in datasets)]
    if len(single) == len(found.shared[0]):
        return "Each model has a single seed on some dataset, so there are no intervals."
    return (
        "The interquartile mean is the mean of the middle half of all runs; its interval is t times the standard "
        f"deviation of a bootstrap within datasets (seed {seed})."
        + (f" No interval because of a single seed on a dataset: {', '.join(map(code, single))}." if single else "")
    )


def _lacking(found: Across) -> list[str]:
    said = missing(found)
    none = [f"- {text(place.name)} has no scores: {text(place.fault)}." for place in found.places if not place.anchors]
    if not said and not none:
        return []
    return [
        "Missing values, which are not imputed: a mean is over the seeds that have a score.",
        "\n".join([*([said] if said else []), *none]),
    ]


def _pairs(found: Across, models: Sequence[str]) -> list[str]:
    if len(found.scores) > MOST_COMPARED:
        return [f"With more than {MOST_COMPARED} models, pairs are not compared."]
    pairs = matrix({model: found.scores[model] for model in models if model in found.scores})
    table: str = pair_table(pairs, found.wins([model for model in models if model in found.scores]))
    if len(pairs) > _MOST_PAIRS:
        table = Details(f"All {len(pairs)} pairs", [table])
    unlike = len({pair.datasets for pair in pairs}) > 1
    note = (
        "Each pair is compared on the datasets on which both have scores"
        + (", which are not the same for all pairs" if unlike else "")
        + ". The difference is between mean scores; bold means p < 0.05 after Holm over the pairs. A win is a dataset "
        "on which the first is better by that dataset's own test. P is the probability that a seed of the first scores "
        "above a seed of the second, with an interval of at least 95%."
    )
    return [table, note]


def _ranks(found: Across, drawn: _Drawn) -> list[str]:
    _, datasets = found.shared
    if len(datasets) < LEAST_DATASETS:
        return [
            f"No critical-difference diagram: ranks over {len(datasets)} datasets, fewer than "
            f"{LEAST_DATASETS}, resolve almost nothing (with five, the smallest p of Wilcoxon's test is 0.0625)."
        ]
    ranked = mean_ranks(found)
    order = ", ".join(f"{code(model)} {rank:.2f}" for model, rank in ranked.ranks.items())
    alike = "; ".join(", ".join(map(code, clique)) for clique in ranked.cliques) or "none"
    return [
        *drawn.show("ranks", "critical-difference diagram", "Bars join models that are not resolved."),
        f"Mean ranks: {order}. Friedman's test: {p_value(ranked.p)}. Not resolved by Wilcoxon's signed-rank test "
        f"after Holm: {alike}. Here the datasets are the sample.",
    ]
