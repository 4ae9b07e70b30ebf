"""The conclusions that a section's numbers support, as sentences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from genbench.metrics.remarks import remark
from genbench.records.statistics import Difference, differing_fields
from genbench.report.escape import code, text
from genbench.report.formatting import interval, p_value, plain
from genbench.report.model import Cell, Details
from genbench.report.quantities import quantity
from genbench.report.sections import MOST_RANKED, Section
from genbench.report.tables import field_value, markdown_table

__all__ = ["differing", "floor", "mixed_recipes", "remarks", "resolved"]

_MOST_SENTENCES = 10


def resolved(section: Section) -> list[str]:
    """Return which models are better than which, as a list: all pairs, or only neighbours, with all pairs in a fold."""
    if not section.main or not section.quantity or not section.quantity.direction:
        return []
    if len(section.models) > MOST_RANKED:
        return [f"This table has more than {MOST_RANKED} models, so their pairs are not tested and nothing is ranked."]
    tested = [pair for pair in section.pairs if pair.p_holm is not None]
    if not tested:
        if max((len(row.records) for row in section.models), default=0) < 2:
            return [
                "With one training seed there is no interval, so nothing is ranked: another seed may change the order."
            ]
        return []
    order = [row.name for row in section.models]
    neighbours = set(itertools.pairwise(order))
    told = tested if len(tested) <= _MOST_SENTENCES else [p for p in tested if (p.first, p.second) in neighbours]
    lines = [f"- {_sentence(pair, section)}" for pair in sorted(told, key=lambda pair: not pair.resolved)]
    parts = ["\n".join(lines)]
    if len(told) < len(tested):
        parts.append(Details(f"All {len(tested)} pairs", [_pair_table(tested)]))
    parts.append(
        f"± is the 95% interval of that difference only; p is corrected for the {len(tested)} pairs compared."
        if len(tested) > 1
        else "± is the 95% interval of the difference."
    )
    return parts


def floor(section: Section) -> str:
    """Return the value of the control `real`, which a perfect model would come close to."""
    if not section.main:
        return ""
    heading = text(quantity(section.main[0]).heading)
    for row in section.controls:
        if row.cell["model"] == "real":
            summary = row.summary(section.main)
            if summary.n:
                return (
                    f"Held-out {section.noun} of the dataset itself have {heading} "
                    f"{interval(summary.mean, summary.half_width)} (control *real*): the floor at this sample count."
                )
    return f"The floor is unknown here: the control *real* was not measured under this recipe of {heading}."


def remarks(section: Section) -> str:
    """Return remarks on means that look wrong but are not, as a Markdown list."""
    said: dict[tuple[str, str], list[str]] = {}
    for column in section.columns:
        for row in section.rows:
            if words := remark(column[0], row.summary(column).mean):
                said.setdefault((column[0], words), []).append(code(row.name))
    return "\n".join(
        f"- {text(quantity(metric).heading)} of {', '.join(dict.fromkeys(names))} is {words}."
        for (metric, words), names in said.items()
    )


def mixed_recipes(dataset: str, metric: str, recipes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a note that numbers of these recipes (id -> fields) are kept separate, with the fields that differ."""
    said = "; ".join(
        f"{text(field.replace('_', ' '))}: "
        + ", ".join(f"{field_value(value)} ({code(recipe)})" for recipe, value in values.items())
        for field, values in differing(recipes).items()
    )
    return (
        f"On {text(dataset)}, {text(quantity(metric).heading)} was measured under {len(recipes)} recipes, so it is in "
        f"{len(recipes)} tables that are never averaged or ranked together. They differ in {said}."
    )


def differing(recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the fields in which recipes (id -> fields) differ, with each recipe's value.

    >>> differing({"a1": {"samples": 500, "seed": 0}, "b2": {"samples": 1000, "seed": 0}})
    {'samples': {'a1': 500, 'b2': 1000}}
    """
    first, *others = recipes.values()
    fields = dict.fromkeys(name for other in others for name in differing_fields(first, other))
    return {field: {name: recipe.get(field) for name, recipe in recipes.items()} for field in fields}


def _sentence(pair: Difference, section: Section) -> str:
    assert section.quantity is not None
    assert pair.p_holm is not None
    heading = text(section.quantity.heading)
    first_better = (pair.mean < 0) == (section.quantity.direction == "lower")
    winner, loser = (pair.first, pair.second) if first_better else (pair.second, pair.first)
    size = _interval(pair)
    if pair.resolved:
        return f"{code(winner)} is better than {code(loser)} in {heading} by {size} ({p_value(pair.p_holm)}, Holm)."
    return (
        f"{code(winner)} and {code(loser)} are not resolved in {heading}: they differ by {size} "
        f"({p_value(pair.p_holm)}, Holm)."
    )


def _interval(pair: Difference) -> str:
    if pair.half_width is None or math.isnan(pair.mean):
        return plain(abs(pair.mean))
    return interval(abs(pair.mean), pair.half_width)


def _pair_table(pairs: Sequence[Difference]) -> str:
    lines = [
        [
            code(pair.first),
            code(pair.second),
            Cell(interval(pair.mean, pair.half_width), pair.mean),
            Cell(p_value(pair.p_holm or 0.0), pair.p_holm),
            "yes" if pair.resolved else "no",
        ]
        for pair in pairs
    ]
    return markdown_table(["first", "second", "first − second", "p (Holm)", "resolved"], lines, left=2)
