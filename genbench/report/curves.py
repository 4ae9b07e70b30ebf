"""Quality and losses along the training, as figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from genbench.report.drawing import (
    GREY,
    Margins,
    Style,
    caption,
    count_axis,
    label_inches,
    new_figure,
    styles,
    value_axis,
)
from genbench.report.rows import Row, measured
from genbench.report.sections import Section

__all__ = ["MOST_LINES", "MOST_PANELS", "loss_figure", "quality_figure"]

MOST_LINES = 7
MOST_PANELS = 12
_MOST_THIN_LINES = 5
_WIDTH = 11.5
_AXES = (("items", "training {noun}"), ("elapsed_s", "training seconds"), ("flops", "training FLOPs"))

Points = NDArray[np.float64]  # (seeds, points)


def quality_figure(section: Section, colours: Mapping[str, Style], *, one_machine: bool = True) -> Figure | None:
    """Return the main metric against items, seconds and FLOPs, or None where no curve was recorded.

    One line a model: the mean over seeds, with each seed thin behind it (a band from least to greatest beyond five).
    Only the best `MOST_LINES` models are drawn. Controls are dashed lines. Seconds of several machines are not drawn.
    """
    if not section.main or not section.quantity:
        return None
    metric = section.main[0]
    drawn = [row for row in section.models if _has_curve(row, metric)][:MOST_LINES]
    if not drawn:
        return None
    levels = [(row, row.summary(section.main).mean) for row in section.controls if row.records]
    levels = [(row, level) for row, level in levels if math.isfinite(level)]
    across = min(len(drawn), int(_WIDTH / (0.7 + label_inches(caption(row.name) for row in drawn))))
    legend_inches = 0.25 * math.ceil(len(drawn) / across)
    right = 0.15 + label_inches(caption(row.name) for row, _ in levels)
    figure, axes = new_figure(
        _WIDTH, 3.85 + legend_inches, columns=3, margins=Margins(top=0.25 + legend_inches, right=right)
    )
    along = [name for name, _ in _AXES if one_machine or name != "elapsed_s"]
    wanted = [(name, "numbers", metric) for name in along]
    curves = {row.name: dict(zip(along, _curves(row, wanted), strict=True)) for row in drawn}
    for axis, (name, label) in zip(axes, _AXES, strict=True):
        everything = [level for _, level in levels]
        distances: list[float] = []
        for row in drawn if name in along else ():
            x, y = curves[row.name][name]
            if x.size:
                everything += [float(value) for value in y[np.isfinite(y)]]
                distances.append(float(np.nanmax(x)))
                _line(axis, x, y, colours[row.name], caption(row.name))
        if not distances:
            why = "not recorded" if one_machine else "not compared:\nseveral machines"
            axis.text(0.5, 0.5, why, transform=axis.transAxes, ha="center", color=GREY)
        _finish(axis, label.format(noun=section.noun), distances, everything)
        for _, level in levels:
            axis.axhline(level, color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
    axes[0].set_ylabel(section.quantity.axis)
    _name_levels(axes[-1], levels)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=across, borderaxespad=0.2)
    return figure


def loss_figure(section: Section) -> Figure | None:
    """Return one panel a model with its losses against items, or None where none was recorded.

    Only the best `MOST_PANELS` models have a panel.
    """
    named = [(row, _loss_names(row)) for row in section.models]
    drawn = [(row, names) for row, names in named if names][:MOST_PANELS]
    if not drawn:
        return None
    columns = min(4, len(drawn)) if len(drawn) != 5 else 3
    count = math.ceil(len(drawn) / columns)
    figure, axes = new_figure(
        max(2.9 * columns, 4.2),
        2.75 * count,
        columns=columns,
        rows=count,
        margins=Margins(top=0.35, left=0.6, right=0.3),
    )
    for axis, (row, names) in zip(axes, drawn, strict=False):
        everything: list[float] = []
        coloured = styles(names[:MOST_LINES])
        curves = _curves(row, [("items", "losses", name) for name in coloured])
        for (name, style), (x, y) in zip(coloured.items(), curves, strict=True):
            everything += [float(value) for value in y[np.isfinite(y)]]
            if x.size:
                _line(axis, x, y, (style[0], ""), caption(name, most=22))
        axis.set_title(caption(row.name, most=24), fontweight="bold")
        _finish(axis, f"training {section.noun}", [], everything)
        if axis.lines:  # a record may hold losses that are no numbers
            axis.legend(fontsize=9, handlelength=1.4, borderaxespad=0.2, frameon=True, framealpha=0.8, edgecolor="none")
    for axis in axes[len(drawn) :]:
        axis.set_visible(False)
    return figure


def _has_curve(row: Row, metric: str) -> bool:
    return any(metric in point.get("numbers", {}) for record in row.records for point in record["curve"])


def _loss_names(row: Row) -> list[str]:
    return list(
        dict.fromkeys(name for record in row.records for point in record["curve"] for name in point.get("losses") or {})
    )


def _curves(row: Row, wanted: Sequence[tuple[str, str, str]]) -> list[tuple[Points, Points]]:
    """Return where and what, (seeds, points) each, of each (place, kind, name): `("items", "losses", "kl")`.

    The k-th points of all seeds stand together: under a budget in seconds the seeds reach other counts of items at
    their k-th point, so both are averaged.
    """
    found: list[list[list[tuple[float, float]]]] = [[] for _ in wanted]
    for record in row.records:
        points = list(record["curve"])  # read once, for all that is wanted
        for curves, one in zip(found, wanted, strict=True):
            if curve := list(_points(points, *one)):
                curves.append(curve)
    return [_together(curves) for curves in found]


def _together(curves: Sequence[Sequence[tuple[float, float]]]) -> tuple[Points, Points]:
    length = min(map(len, curves), default=0)
    both = np.array([points[:length] for points in curves], dtype=np.float64).reshape(len(curves), length, 2)
    return both[:, :, 0], both[:, :, 1]


def _points(curve: Sequence[Mapping[str, Any]], place: str, kind: str, name: str) -> Iterable[tuple[float, float]]:
    for point in curve:
        value = point.get(kind, {}).get(name)
        where = point.get(place) if value is not None else None
        if where is not None:
            yield float(where), measured(value)


def _line(axis: Axes, x: Points, y: Points, style: Style, label: str) -> None:
    colour, marker = style
    where, mean = x.mean(axis=0), y.mean(axis=0)
    if 1 < len(y) <= _MOST_THIN_LINES:
        axis.plot(x.T, y.T, color=colour, linewidth=0.8, alpha=0.4)
    elif len(y) > 1:
        axis.fill_between(where, y.min(axis=0), y.max(axis=0), color=colour, alpha=0.18, linewidth=0)
    axis.plot(where, mean, color=colour, marker=marker, label=label)


def _finish(axis: Axes, label: str, distances: Sequence[float], values: Sequence[float]) -> None:
    axis.set_xlabel(label)
    value_axis(axis, values)
    count_axis(axis, distances)


def _name_levels(axis: Axes, levels: Sequence[tuple[Row, float]]) -> None:
    """Write the controls' names at the right end of their lines, pushed apart where they would overlap."""
    axis.autoscale_view()
    to_paper = axis.transData - axis.transAxes
    least, previous = 0.06, -math.inf
    for row, level in sorted(levels, key=lambda entry: entry[1]):
        height = float(to_paper.transform((1.0, level))[1])
        previous = max(height, previous + least)
        axis.annotate(
            caption(row.name), (1.02, previous), xycoords="axes fraction", va="center", color=GREY, fontsize=9.5
        )
