"""The part of a report on time to target: tables, and how to read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from genbench.config.target import Target
from genbench.records.target import MEASURES, share_within
from genbench.report.chart import Chart
from genbench.report.escape import code, text
from genbench.report.formatting import NOTHING, amount, plain
from genbench.report.model import Cell, Picture
from genbench.report.quantities import quantity
from genbench.report.sections import Section
from genbench.report.tables import markdown_table
from genbench.report.to_target import MEASURED, Place, Profiles

__all__ = ["stopped_note", "target_parts"]

_TAUS = (1.0, 2.0, 4.0)


def target_parts(
    target: Target, found: Sequence[Place], over: Profiles | None, picture: str | None, chart: Chart | None = None
) -> list[str]:
    """Return the parts for one target.

    Args:
        target: the target.
        found: its results, by dataset.
        over: its performance profiles, if there are any.
        picture: their figure, relative to the page.
        chart: what that figure shows.
    """
    parts = [f"### {text(_heading(target))}"]
    if not found:
        return [*parts, f"Nothing to show: {_why_nothing(target)}."]
    parts += [_note(target, found), _table(found), *_unknown(found)]
    if over is None:
        return [
            *parts,
            "No performance profile: it needs at least two models that share at least two datasets.",
        ]
    if picture:
        parts.append(Picture(f"Performance profiles of {target}", picture, chart=chart))
    return [*parts, _profile_note(over), _profile_table(over)]


def stopped_note(section: Section) -> str:
    """Return a note that cells of a section stopped at their targets; an empty string if none was set to."""
    stopped = [row for row in section.models if row.cell.get("stop_at_target")]
    if not stopped:
        return ""
    names = ", ".join(code(row.name) for row in stopped)
    return (
        f"**Stopped at target**: training of {names} ended at the first evaluation that met the target, if any did, so "
        "these numbers come from training runs of unequal length; see [Time to target](#time-to-target)."
    )


def _heading(target: Target) -> str:
    named = quantity(target.number).heading + (" ÷ real" if target.is_ratio else "")
    return f"{named} {target.sign} {plain(target.bound)}"


def _why_nothing(target: Target) -> str:
    if target.is_ratio:
        return f"no curve has {code(target.number)}, or the control real was not measured under its recipe"
    return f"no curve has {code(target.number)}"


def _note(target: Target, found: Sequence[Place]) -> str:
    real = ", divided by the mean of the control `real` at the same count" if target.is_ratio else ""
    side_by_side = (
        " Cells ran side by side, so times are longer than for a cell that runs alone." if _shared(found) else ""
    )
    return (
        f"The first evaluation at which {code(target.number)}{real} is {'below' if target.sign == '<' else 'above'} "
        f"{plain(target.bound)}. Medians over seeds; a seed that fails or never meets the target counts as infinite, "
        "so the median is ∞ if at least half of them do. A time is late by at most the interval between two "
        f"evaluations. Evaluation time is not counted.{side_by_side}"
    )


def _shared(found: Sequence[Place]) -> bool:
    return any(
        int(record["environment"].get("jobs", 1)) > 1
        for place in found
        for row in place.section.models
        for record in row.records
    )


def _table(found: Sequence[Place]) -> str:
    lines = []
    for place in found:
        order = sorted(place.found.items(), key=lambda item: (_key(item[1].median["step"]), -item[1].met))
        for name, result in order:
            shown = [
                NOTHING if measure == "elapsed_s" and not place.one_machine else _time(measure, result.median[measure])
                for measure in MEASURES
            ]
            lines.append([text(place.name), code(name), f"{result.met} of {result.seeds}", *shown])
    nouns = {place.section.noun for place in found}
    noun = nouns.pop() if len(nouns) == 1 else "items"
    return markdown_table(["dataset", "model", "seeds that met it", "steps", noun, "seconds", "FLOPs"], lines, left=2)


def _time(measure: str, time: float | None) -> str:
    shown = amount(time) if measure == "flops" and time is not None and math.isfinite(time) else plain(time)
    return Cell(shown, time)


def _key(time: float | None) -> float:
    return math.inf if time is None else time


def _unknown(found: Sequence[Place]) -> list[str]:
    said = [f"{', '.join(map(code, place.unknown))} on {text(place.name)}" for place in found if place.unknown]
    return [f"Not measured on the curves of {'; '.join(said)}."] if said else []


def _profile_note(over: Profiles) -> str:
    left = f" Left out, because not all models ran there or it appears in several tables: {_listed(over.left_out)}."
    return (
        f"ρ(τ): the share of {len(over.datasets)} datasets ({_listed(over.datasets)}) on which a model's median is at "
        "most τ times that of the fastest model (Dolan & Moré 2002). At τ = 1: how often it is the fastest; at the "
        "right end: how often it meets the target. A dataset on which no model does lowers all lines equally."
        f"{left if over.left_out else ''}"
    )


def _profile_table(over: Profiles) -> str:
    """Return ρ at a few τ for the first measure, for readers who cannot see the figure."""
    if not over.ratios:
        return ""
    measure, ratios = next(iter(over.ratios.items()))
    header = [f"ρ(τ), {MEASURED[measure].format(noun='items')}", *(f"τ = {tau:g}" for tau in _TAUS), "any τ"]
    taus = (*_TAUS, math.inf)
    ordered = sorted(ratios.items(), key=lambda item: [-share_within(item[1], tau) for tau in taus])
    lines = [[code(name), *(f"{share_within(held, tau):.0%}" for tau in taus)] for name, held in ordered]
    return markdown_table(header, lines)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(text, names))
