"""Figures of throughput, and of quality against cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genbench.records.statistics import Summary, summarise
from genbench.report.curves import main_values
from genbench.report.drawing import GREY, Margins, Style, caption, count_axis, label_inches, new_figure, value_axis
from genbench.report.formatting import amount
from genbench.report.machines import Machine
from genbench.report.rows import Row
from genbench.report.sections import Section

__all__ = ["MOST_BARS", "throughput_figure", "trade_off_figure"]

MOST_BARS = 24
_RATES = (("train_items_per_s", "training"), ("sample_items_per_s", "sampling"))

Bar = tuple[Row, str, list[Mapping[str, Any]]]


def throughput_figure(section: Section, colours: Mapping[str, Style], known: Sequence[Machine]) -> Figure | None:
    """Return items/s of training and sampling as bars, one per model and machine, or None if none was recorded.

    A bar is the mean over seeds of the median window; its line spans the mean 5th to the mean 95th percentile.
    """
    bars = _bars(section, known)[:MOST_BARS]
    if not any(cost.get(name) for _, _, costs in bars for cost in costs for name, _ in _RATES):
        return None
    names = [f"{caption(row.name)}{machine}" for row, machine, _ in bars]
    margins = Margins(left=0.25 + label_inches(names), across=0.4)
    figure, axes = new_figure(11.5, 0.42 * len(bars) + 1.0, columns=2, margins=margins)
    for axis, (name, label) in zip(axes, _RATES, strict=True):
        longest = 0.0
        for place, (row, _, costs) in enumerate(bars):
            windows = [cost[name] for cost in costs if cost.get(name)]
            if windows:
                low, middle, high = (
                    summarise(window.get(part) for window in windows).mean for part in ("p5", "median", "p95")
                )
                low, high = (middle if math.isnan(end) else end for end in (low, high))
                error = [[max(0.0, middle - low)], [max(0.0, high - middle)]]
                axis.barh(place, middle, color=colours[row.name][0], height=0.66, alpha=0.9)
                axis.errorbar(middle, place, xerr=error, color="#222222", capsize=3, linewidth=1.2)
                axis.annotate(
                    amount(middle),
                    (max(high, middle), place),
                    (5, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=9.5,
                )
                longest = max(longest, high, middle)
        axis.set_yticks(range(len(bars)), names)
        axis.set_xlim(0, 1.14 * longest or 1)
        axis.set_ylim(len(bars) - 0.4, -0.6)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel(f"{label} {section.noun}/s")
        count_axis(axis, [])
    axes[1].tick_params(labelleft=False)
    return figure


def trade_off_figure(section: Section, colours: Mapping[str, Style], known: Sequence[Machine]) -> Figure | None:
    """Return the main metric against training seconds and against sampled items/s, or None if there is too little data.

    A cost is its geometric mean over seeds, with the interval of its logarithm: an arithmetic interval can reach below
    zero, and a logarithmic axis would draw it to the edge. A figure needs two models measured on one machine; only the
    best `MOST_BARS` models are drawn.
    """
    if not section.main or not section.quantity or len(known) != 1:
        return None
    panels = [
        ("training seconds ←", lambda cost: cost.get("train_s")),
        (f"sampling {section.noun}/s →", lambda cost: (cost.get("sample_items_per_s") or {}).get("median")),
    ]
    found = [
        [(row, _geometric(row, read), row.summary(section.main)) for row in section.models[:MOST_BARS] if row.records]
        for _, read in panels
    ]
    found = [[point for point in points if point[1].n and point[2].n] for points in found]
    if min(map(len, found)) < 2:
        return None
    figure, axes = new_figure(11.5, 4.0, columns=2, margins=Margins(left=0.9, right=0.5, across=1.3))
    for axis, points, (label, _) in zip(axes, found, panels, strict=True):
        for row, cost, quality in points:
            colour, marker = colours[row.name]
            axis.errorbar(
                cost.mean,
                quality.mean,
                quality.half_width,
                cost.errors,
                color=colour,
                marker=marker,
                markersize=8,
                capsize=3,
            )
        _scale(axis, points, main_values(section))
        for row, cost, quality in points:
            axis.annotate(caption(row.name), (cost.mean, quality.mean), (8, 6), textcoords="offset points", fontsize=10)
        _draw_floor(axis, section)
        axis.set_xlabel(label)
        axis.set_ylabel(section.quantity.axis)
    return figure


def _bars(section: Section, known: Sequence[Machine]) -> list[Bar]:
    bars = []
    for machine in known:
        for row in section.models:
            costs = [record["cost"] for record in row.records if record["id"] in machine.record_ids]
            if costs:
                bars.append((row, f" ({machine.letter})" if len(known) > 1 else "", costs))
    return bars


@dataclass(frozen=True)
class _Cost:
    """A geometric mean over `n` seeds, and how far its interval extends to either side."""

    mean: float
    errors: list[list[float]] | None
    n: int


def _geometric(row: Row, read: Callable[[Mapping[str, Any]], float | None]) -> _Cost:
    logs = row.cost(lambda cost: math.log(value) if (value := read(cost)) is not None and value > 0 else None)
    mean = math.exp(logs.mean)
    if logs.half_width is None:
        return _Cost(mean, None, logs.n)
    low, high = (math.exp(logs.mean + side * logs.half_width) for side in (-1, 1))
    return _Cost(mean, [[mean - low], [high - mean]], logs.n)


def _scale(axis: Axes, points: Sequence[tuple[Row, _Cost, Summary]], values: Sequence[float]) -> None:
    """Scale both axes: quality has the same scale as in the plots over training, whatever is visible here."""
    across = [cost.mean for _, cost, _ in points]
    axis.margins(x=0.18, y=0.15)
    value_axis(axis, values)
    count_axis(axis, across)


def _draw_floor(axis: Axes, section: Section) -> None:
    for row in section.controls:
        level = row.summary(section.main).mean if section.main else math.nan
        if row.cell["model"] == "real" and math.isfinite(level):
            axis.axhline(level, color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
            axis.annotate(
                "real", (1.01, level), xycoords=("axes fraction", "data"), va="center", color=GREY, fontsize=9.5
            )
