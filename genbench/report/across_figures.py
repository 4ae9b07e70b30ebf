"""The figures of an aggregate: interquartile means with performance profiles, scores by dataset, mean ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genbench.aggregate.profiles import profile
from genbench.aggregate.ranking import LEAST_DATASETS, Ranking
from genbench.records.score import ONE
from genbench.records.statistics import summarise
from genbench.report.across import Across
from genbench.report.curves import MOST_LINES
from genbench.report.drawing import (
    GREY,
    Margins,
    Style,
    caption,
    label_inches,
    legend_above,
    legend_room,
    new_figure,
)
from genbench.report.figure_files import FigureFiles
from genbench.report.speeds import MOST_BARS
from genbench.report.standings import Standing, in_standing_order, mean_ranks

__all__ = ["draw_across"]

_POINTS = 201
_MOST_PLACES = 40  # datasets in one figure


def draw_across(
    figures: FigureFiles, found: Across, made: Sequence[Standing], colours: Mapping[str, Style]
) -> dict[str, str]:
    """Add the available figures of one budget's aggregate to those of a page; return kind -> relative file.

    Args:
        figures: the page's.
        found: the results across its datasets.
        made: its standings.
        colours: the models' colours, by name.
    """
    if found.fault:
        return {}
    makes: dict[str, Callable[[], Figure]] = {
        "scores": lambda: _standing_figure(found, made, colours),
        "places": lambda: _place_figure(found, in_standing_order(found, made), colours),
    }
    if len(found.shared[1]) >= LEAST_DATASETS:
        makes["ranks"] = lambda: _rank_figure(mean_ranks(found))
    return {kind: figures.add(f"{found.slug}-{kind}", make) for kind, make in makes.items()}


def _standing_figure(found: Across, made: Sequence[Standing], colours: Mapping[str, Style]) -> Figure:
    """Return the interquartile means as points with intervals, and the performance profiles of the best models."""
    shown = made[:MOST_BARS]
    names = [caption(one.model) for one in shown]
    across, legend = legend_room(names[:MOST_LINES], 11.5)
    margins = Margins(left=0.25 + label_inches(names), across=0.9, top=0.35 + legend)
    height = max(3.2, 0.42 * len(shown) + 1.0) + legend + 0.2
    figure, (left, right) = new_figure(11.5, height, columns=2, margins=margins)
    for place, one in enumerate(shown):
        colour, marker = colours[one.model]
        left.errorbar(
            one.middle.value, place, xerr=one.middle.half_width, color=colour, marker=marker, markersize=8, capsize=4
        )
    left.set_yticks(range(len(shown)), names)
    left.set_ylim(len(shown) - 0.5, -0.5)
    left.grid(visible=False, axis="y")
    left.margins(x=0.1)
    left.set_xlabel("interquartile mean score →")
    _levels(left, found)
    _draw_profiles(right, found, made[:MOST_LINES], colours)
    legend_above(figure, [right], across)
    return figure


def _draw_profiles(axis: Axes, found: Across, made: Sequence[Standing], colours: Mapping[str, Style]) -> None:
    strata = {one.model: {name: found.scores[one.model][name] for name in found.shared[1]} for one in made}
    every = [score for held in strata.values() for values in held.values() for score in values]
    room = 0.05 * (max(every) - min(every)) or 0.05
    at = np.linspace(min(every) - room, max(every) + room, _POINTS)
    for model, held in strata.items():
        drawn, colour = profile(held, at.tolist()), colours[model][0]
        axis.fill_between(at, drawn.low, drawn.high, color=colour, alpha=0.08, linewidth=0, step="pre")
        axis.step(at, drawn.shares, color=colour, label=caption(model))
    axis.set_ylim(-0.02, 1.02)
    axis.set_xlim(at[0], at[-1])
    axis.set_xlabel("score τ")
    axis.set_ylabel("share of runs above τ")


def _place_figure(found: Across, models: Sequence[str], colours: Mapping[str, Style]) -> Figure:
    """Return one line per dataset with the models' mean scores, their intervals one below another."""
    drawn = [model for model in models if model in found.scores][:MOST_LINES]
    places = found.scored[:_MOST_PLACES]
    names = [caption(place.name) for place in places]
    across, legend = legend_room([caption(model) for model in drawn], 11.5)
    each = max(0.4, 0.11 * len(drawn) + 0.15)
    margins = Margins(left=0.25 + label_inches(names), top=0.35 + legend)
    figure, (axis,) = new_figure(11.5, each * len(places) + 1.0 + legend, margins=margins)
    for position, model in enumerate(drawn):
        colour, marker = colours[model]
        offset = 0.7 * ((position + 0.5) / len(drawn) - 0.5)
        points = [
            (line + offset, summarise(held))
            for line, place in enumerate(places)
            if (held := found.scores[model].get(place.name))
        ]
        axis.errorbar(
            [point.mean for _, point in points],
            [height for height, _ in points],
            xerr=[point.half_width or 0.0 for _, point in points],
            color=colour,
            marker=marker,
            markersize=6,
            linestyle="",
            elinewidth=1.4,
            label=caption(model),
        )
    axis.set_yticks(range(len(places)), names)
    axis.set_ylim(len(places) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")
    for line in range(1, len(places)):
        axis.axhline(line - 0.5, color="#e4e4e4", linewidth=0.8)
    axis.set_xlabel("score →")
    _levels(axis, found)
    legend_above(figure, [axis], across)
    return figure


def _levels(axis: Axes, found: Across) -> None:
    """Draw the controls at 0 and 1 if they are in or near the visible range, so that the points are not squeezed."""
    zeros = dict.fromkeys(place.zero for place in found.scored)
    low, high = axis.get_xlim()
    for level, name in ((0.0, "/".join(zeros)), (1.0, ONE)):
        if low - 0.5 <= level <= high + 0.5:
            axis.axvline(level, color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
            axis.annotate(
                name, (level, 1.0), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points", va="bottom",
                ha="center", color=GREY, fontsize=9.5,
            )  # fmt: skip


def _rank_figure(ranked: Ranking) -> Figure:
    """Return Demšar's diagram: mean ranks on an axis, with the best on the left, and bars that join the cliques."""
    names = list(ranked.ranks)[:MOST_BARS]
    side = math.ceil(len(names) / 2)
    beside = 0.7 + label_inches(map(caption, names))
    bars = [[name for name in clique if name in names] for clique in ranked.cliques]
    depth = 0.5 + 0.3 * len(bars)
    height = depth + 0.5 * side
    figure, (axis,) = new_figure(11.5, 0.7 * height + 0.8, margins=Margins(beside, beside, 0.6, 0.1))
    axis.set_xlim(1, max(len(ranked.ranks), 2))
    axis.set_ylim(height, 0)
    axis.grid(visible=False)
    axis.xaxis.tick_top()
    axis.xaxis.set_label_position("top")
    axis.set_xlabel("mean rank ←")
    axis.spines["top"].set_visible(True)
    for spine in ("bottom", "left"):
        axis.spines[spine].set_visible(False)
    axis.set_yticks([])
    for place, name in enumerate(names):
        left = place < side
        level = depth + 0.5 * (place if left else len(names) - 1 - place) + 0.2
        rank, end = ranked.ranks[name], 0.0 if left else 1.0
        axis.plot([rank, rank], [0, level], color="#444444", linewidth=1.0)
        axis.plot([rank, axis.get_xlim()[int(end)]], [level, level], color="#444444", linewidth=1.0)
        axis.annotate(
            f"{caption(name)}  {rank:.2f}" if left else f"{rank:.2f}  {caption(name)}",
            (axis.get_xlim()[int(end)], level),
            (-4 if left else 4, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
        )
    for line, clique in enumerate(bars):
        if len(clique) > 1:
            low, high = (ranked.ranks[name] for name in (clique[0], clique[-1]))
            axis.hlines(0.35 + 0.3 * line, low - 0.03, high + 0.03, color="#222222", linewidth=4)
    return figure
