"""Figures of quality and losses over training."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genbench.report.drawing import (
    GREY,
    Margins,
    Style,
    caption,
    count_axis,
    dashes,
    label_inches,
    legend_above,
    legend_room,
    new_figure,
    value_axis,
)
from genbench.report.rows import Row
from genbench.report.sections import MOST_LINES, Section
from genbench.report.series import Points, names_in, stacked

__all__ = [
    "MOST_LINES",
    "MOST_PANELS",
    "loss_figure",
    "main_values",
    "quality_figure",
    "rows_with_losses",
    "rows_with_quality",
]

MOST_PANELS = 12
_MOST_THIN_LINES = 5
_WIDTH = 11.5
_AXES = (("items", "training {noun}"), ("elapsed_s", "training seconds"), ("flops", "training FLOPs"))


def quality_figure(section: Section, colours: Mapping[str, Style], *, one_machine: bool = True) -> Figure:
    """Return the main metric of `rows_with_quality`, of which there must be one, against items, seconds and FLOPs.

    One line per model: the mean over seeds, with a thin line for each seed (with more than five, a band from lowest to
    highest). Controls are dashed lines. Seconds of several machines are not drawn.
    """
    drawn = rows_with_quality(section)
    assert section.main
    assert section.quantity
    metric = section.main[0]
    levels = _levels(section)
    across, legend_inches = legend_room([caption(row.name) for row in drawn], _WIDTH)
    everything = main_values(section)
    right = 0.15 + label_inches(caption(row.name) for row, _ in levels)
    figure, axes = new_figure(
        _WIDTH,
        3.85 + legend_inches,
        columns=3,
        margins=Margins(top=0.25 + legend_inches, left=0.9, right=right, across=0.95),
    )
    along = [name for name, _ in _AXES if one_machine or name != "elapsed_s"]
    wanted = [(name, "numbers", metric) for name in along]
    curves = {row.name: dict(zip(along, _curves(row, wanted), strict=True)) for row in drawn}
    for axis, (name, label) in zip(axes, _AXES, strict=True):
        distances: list[float] = []
        first: list[tuple[Row, float]] = []
        for row in drawn if name in along else ():
            x, y = curves[row.name][name]
            if x.size:
                distances.append(float(np.nanmax(x)))
                first += [(row, float(y[:, 0].mean()))] if not x[:, 0].any() else []
                _line(axis, x, y, colours[row.name], caption(row.name))
        if not distances:
            why = "not recorded" if one_machine else "not compared:\nseveral machines"
            axis.text(0.5, 0.5, why, transform=axis.transAxes, ha="center", color=GREY)
        _finish(axis, label.format(noun=section.noun), distances, everything)
        for _, level in levels:
            axis.axhline(level, color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
        if axis.get_xscale() == "log":  # which cannot show the start
            for row, value in first:
                _mark_start(axis, value, colours[row.name])
        axis.set_ylabel(section.quantity.axis)
    _name_levels(axes[-1], levels)
    legend_above(figure, axes, across)
    return figure


def rows_with_quality(section: Section) -> list[Row]:
    """Return the models whose main metric is drawn over training: the best `MOST_LINES` that have a curve."""
    if not section.main or not section.quantity:
        return []
    metric = section.main[0]
    return list(itertools.islice((row for row in section.models if _has_curve(row, metric)), MOST_LINES))


def rows_with_losses(section: Section) -> list[tuple[Row, list[str]]]:
    """Return the models whose losses are drawn, the best `MOST_PANELS` that have any, with the names of all of them."""
    named = ((row, _loss_names(row)) for row in section.models)
    return list(itertools.islice(((row, names) for row, names in named if names), MOST_PANELS))


def main_values(section: Section) -> list[float]:
    """Return the values that decide the scale of the main metric in every figure: its curves and levels."""
    levels = [level for _, level in _levels(section)] if section.main else []
    return [*section.curve_values, *levels]


def _levels(section: Section) -> list[tuple[Row, float]]:
    """Return the controls with their main metric."""
    assert section.main
    levels = [(row, row.summary(section.main).mean) for row in section.controls if row.records]
    return [(row, level) for row, level in levels if math.isfinite(level)]


def loss_figure(section: Section) -> Figure:
    """Return one panel for each of `rows_with_losses`, of which there must be one: its losses against items."""
    drawn = rows_with_losses(section)
    columns = min(4, len(drawn)) if len(drawn) != 5 else 3
    count = math.ceil(len(drawn) / columns)
    width = max(2.9 * columns, 4.2)
    strokes = dashes(name for _, names in drawn for name in names[:MOST_LINES])  # a loss looks the same in all panels
    across, legend_inches = legend_room([caption(name, most=22) for name in strokes], width)
    figure, axes = new_figure(
        width,
        2.75 * count + legend_inches + 0.1,
        columns=columns,
        rows=count,
        margins=Margins(top=0.45 + legend_inches, left=0.75, right=0.2, across=0.85),
    )
    for axis, (row, names) in zip(axes, drawn, strict=False):
        everything: list[float] = []
        shown = names[:MOST_LINES]
        curves = _curves(row, [("items", "losses", name) for name in shown])
        for name, (x, y) in zip(shown, curves, strict=True):
            everything += [float(value) for value in y[np.isfinite(y)]]
            if x.size:
                _line(axis, x, y, (strokes[name][0], ""), caption(name, most=22), strokes[name][1])
        axis.set_title(caption(row.name, most=24), fontweight="bold")
        _finish(axis, f"training {section.noun}", [], everything)
        axis.set_ylabel("loss")
    for axis in axes[len(drawn) :]:
        axis.set_visible(False)
    legend_above(figure, axes, across)
    return figure


def _has_curve(row: Row, metric: str) -> bool:
    return any(metric in names_in(record["curve"], "numbers") for record in row.records)


def _loss_names(row: Row) -> list[str]:
    return list(dict.fromkeys(name for record in row.records for name in names_in(record["curve"], "losses")))


def _curves(row: Row, wanted: Sequence[tuple[str, str, str]]) -> list[tuple[Points, Points]]:
    """Return positions and values, (seeds, points) each, for each (place, kind, name): `("items", "losses", "kl")`.

    The k-th points of all seeds are grouped: under a budget in seconds, seeds reach different item counts at their k-th
    point, so both are averaged.
    """
    curves = [record["curve"] for record in row.records]
    return [stacked(curves, *one) for one in wanted]


def _line(axis: Axes, x: Points, y: Points, style: Style, label: str, stroke: Any = "-") -> None:
    colour, marker = style
    where, mean = x.mean(axis=0), y.mean(axis=0)
    if 1 < len(y) <= _MOST_THIN_LINES:
        axis.plot(x.T, y.T, color=colour, linewidth=0.8, alpha=0.4)
    elif len(y) > 1:
        axis.fill_between(where, y.min(axis=0), y.max(axis=0), color=colour, alpha=0.18, linewidth=0)
    axis.plot(where, mean, color=colour, marker=marker, linestyle=stroke, label=label)


def _mark_start(axis: Axes, value: float, style: Style) -> None:
    """Draw the value measured before the first step as a hollow marker at the edge of an axis that starts after it."""
    colour, marker = style
    axis.plot(
        [0.0],
        [value],
        transform=axis.get_yaxis_transform(),
        color=colour,
        marker=marker,
        markerfacecolor="white",
        linestyle="",
        clip_on=False,
        zorder=5,
    )


def _finish(axis: Axes, label: str, distances: Sequence[float], values: Sequence[float]) -> None:
    axis.set_xlabel(label)
    value_axis(axis, values)
    count_axis(axis, distances)


def _name_levels(axis: Axes, levels: Sequence[tuple[Row, float]]) -> None:
    """Write the controls' names at the right end of their lines, moved apart where they would overlap."""
    axis.autoscale_view()
    to_paper = axis.transData - axis.transAxes
    least, previous = 0.06, -math.inf
    for row, level in sorted(levels, key=lambda entry: entry[1]):
        height = float(to_paper.transform((1.0, level))[1])
        previous = max(height, previous + least)
        axis.annotate(
            caption(row.name), (1.02, previous), xycoords="axes fraction", va="center", color=GREY, fontsize=9.5
        )
