"""The tables of an aggregate in Markdown: standings, scores by dataset, pairs, and the origin of the scales."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from genbench.aggregate.comparing import Pair
from genbench.aggregate.strata import Estimate
from genbench.records.score import ONE
from genbench.records.statistics import summarise
from genbench.report.across import Across, Outcome, Place
from genbench.report.escape import code, text
from genbench.report.formatting import NOTHING, interval, p_value, plain
from genbench.report.quantities import quantity
from genbench.report.standings import Standing
from genbench.report.tables import field_value, markdown_table

__all__ = [
    "estimate",
    "missing",
    "pair_table",
    "plain_standings",
    "scale_table",
    "score_table",
    "standing_table",
    "state",
]


def estimate(found: Estimate) -> str:
    """Return a number with its interval."""
    return interval(found.value, found.half_width)


def standing_table(made: Sequence[Standing]) -> str:
    """Return the interquartile mean and the mean of each model."""
    lines = [[code(one.model), estimate(one.middle), estimate(one.mean), str(one.runs)] for one in made]
    return markdown_table(["model", "interquartile mean ↑", "mean ↑", "runs"], lines)


def plain_standings(found: Across, made: Sequence[Standing]) -> list[str]:
    """Return the standings as lines of plain text, or why there are none."""
    if found.fault:
        return [f"{found.budget}: nothing is aggregated, because {found.fault}", ""]
    header = ["model", "interquartile mean", "mean", "runs"]
    lines = [header, *([one.model, estimate(one.middle), estimate(one.mean), str(one.runs)] for one in made)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    datasets = ", ".join(found.shared[1])
    return [f"{found.budget}, scores over {datasets}: 0 is the control at 0, 1 is {ONE}", *shown, ""]


def score_table(found: Across, models: Iterable[str]) -> str:
    """Return the mean score of each model on each dataset, or why there is none."""
    lines = [
        [code(model), *(_cell(found.outcomes[model].get(place.name)) for place in found.scored)] for model in models
    ]
    return markdown_table(["model", *(text(place.name) for place in found.scored)], lines)


def _cell(outcome: Outcome | None) -> str:
    if outcome is None or not outcome.scores:
        return state(outcome)
    held = summarise(outcome.scores.values())
    lost = outcome.failed + outcome.unscored
    return interval(held.mean, held.half_width) + (f" ({held.n} of {held.n + lost})" if lost else "")


def state(outcome: Outcome | None) -> str:
    """Return the state of a model on a dataset, in a word or two."""
    if outcome is None:
        return "not run"
    if outcome.scores:
        return "scored"
    if outcome.unsuitable:
        return "not applicable"
    return "no score" if outcome.finished else "failed"


def missing(found: Across) -> str:
    """Return what has no score, grouped by reason, as a Markdown list; an empty string if nothing lacks one."""
    said: dict[str, list[str]] = {}
    for model, by_place in found.outcomes.items():
        for place in found.scored:
            outcome = by_place.get(place.name)
            where = f"{code(model)} on {text(place.name)}"
            if outcome is None:
                said.setdefault("not run", []).append(where)
            elif outcome.unsuitable:
                said.setdefault("not applicable", []).append(f"{where} ({text(outcome.unsuitable)})")
            elif outcome.failed:
                seeds = outcome.failed + outcome.finished
                said.setdefault("failed", []).append(f"{where} ({outcome.failed} of {_seeds(seeds)})")
            if outcome is not None and outcome.unscored:
                said.setdefault("without a score, because the number is missing or not above 0", []).append(
                    f"{where} ({outcome.unscored} of {_seeds(outcome.finished)})"
                )
    return "\n".join(f"- {len(cells)} {reason}: {_several(cells)}." for reason, cells in said.items())


_MOST_NAMED = 20


def _several(cells: Sequence[str]) -> str:
    more = f" and {len(cells) - _MOST_NAMED} more" if len(cells) > _MOST_NAMED else ""
    return ", ".join(cells[:_MOST_NAMED]) + more


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"


def pair_table(pairs: Sequence[Pair], wins: Mapping[tuple[str, str], Sequence[int]]) -> str:
    """Return every pair: mean difference, Holm-corrected p, wins, and the probability that the first scores higher."""
    lines = []
    for pair in pairs:
        low, high = pair.chance_interval
        p = p_value(pair.p_holm).removeprefix("p ").removeprefix("= ") if pair.p_holm is not None else NOTHING
        lines.append(
            [
                code(pair.first),
                code(pair.second),
                str(len(pair.datasets)),
                estimate(pair.difference),
                f"**{p}**" if pair.resolved else p,
                " / ".join(map(str, wins[pair.first, pair.second])),
                f"{pair.chance:.2f} ({low:.2f} to {high:.2f})",
            ]
        )
    header = ["first", "second", "datasets", "first − second", "p (Holm)", "wins / not resolved / losses"]
    return markdown_table([*header, "P(first > second)"], lines, left=2)


def scale_table(found: Across) -> str:
    """Return where 0 and 1 lie on each dataset, and the recipe of its number, or why it has no scale."""
    header = ["dataset", "number", "at 0", "at 1", "samples", "extractor", "recipe"]
    return markdown_table(header, _scales(found), left=2, words=("extractor", "recipe"))


def _scales(found: Across) -> list[list[str]]:
    return [
        [
            text(place.name),
            text(quantity(place.number).axis),
            *_ends(place),
            *(field_value(recipe.get(name)) for name in ("samples", "extractor")),
            code(place.section.main[1] if place.section.main else NOTHING),
        ]
        for place in found.places
        for recipe in [place.section.recipe(place.section.main[1] if place.section.main else "")]
    ]


def _ends(place: Place) -> list[str]:
    if place.anchors is None:
        return [f"none: {text(place.fault)}", NOTHING]
    return [f"{plain(place.anchors.zero)} (*{text(place.zero)}*)", f"{plain(place.anchors.one)} (*{ONE}*)"]
