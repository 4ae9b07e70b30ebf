"""Figures of throughput, and of quality against cost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genbench.report.chart import Chart, Extent, Mark, Panel
from genbench.report.curves import main_values
from genbench.report.drawing import GREY, Margins, Style, caption, count_axis, label_inches, new_figure, value_axis
from genbench.report.formatting import amount
from genbench.report.sections import Section
from genbench.report.speeds import MOST_BARS

__all__ = ["throughput_figure", "trade_off_figure"]


def throughput_figure(chart: Chart, colours: Mapping[str, Style], *, one_machine: bool) -> Figure:
    """Return the first `MOST_BARS` bars of `speeds.throughput`."""
    rows = chart.panels[0].rows[:MOST_BARS]
    names = [_row_name(name, several=not one_machine) for name in rows]
    margins = Margins(left=0.25 + label_inches(names), across=0.4)
    figure, axes = new_figure(11.5, 0.42 * len(rows) + 1.0, columns=2, margins=margins)
    for axis, panel in zip(axes, chart.panels, strict=True):
        bars = _bars(panel)
        _draw_bars(axis, {place: (colours[name][0], mark.x) for place, (name, mark) in sorted(bars.items())})
        longest = max((mark.x.high or 0.0 for _, mark in bars.values()), default=0.0)
        axis.set_yticks(range(len(rows)), names)
        axis.set_xlim(0, 1.14 * longest or 1)
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel(panel.x)
        count_axis(axis, [])
    axes[1].tick_params(labelleft=False)
    return figure


def trade_off_figure(chart: Chart, section: Section, colours: Mapping[str, Style]) -> Figure:
    """Return the best `MOST_BARS` models of `speeds.trade_off`."""
    best = {row.name for row in section.models[:MOST_BARS]}
    figure, axes = new_figure(11.5, 4.0, columns=2, margins=Margins(left=0.9, right=0.5, across=1.3))
    for axis, panel in zip(axes, chart.panels, strict=True):
        points = [(name, mark.x, mark.y) for name, (mark,) in panel.marks.items() if name in best]
        for name, cost, quality in points:
            assert isinstance(quality, Extent)
            colour, marker = colours[name]
            axis.errorbar(
                cost.value,
                quality.value,
                None if quality.low is None else quality.value - quality.low,
                _reach(cost),
                color=colour,
                marker=marker,
                markersize=8,
                capsize=3,
            )
        axis.margins(x=0.18, y=0.15)
        value_axis(axis, main_values(section))
        count_axis(axis, [cost.value for _, cost, _ in points])
        for name, cost, quality in points:
            assert isinstance(quality, Extent)
            axis.annotate(caption(name), (cost.value, quality.value), (8, 6), textcoords="offset points", fontsize=10)
        _draw_levels(axis, panel)
        axis.set_xlabel(panel.x)
        axis.set_ylabel(panel.y)
    return figure


def _row_name(name: str, *, several: bool) -> str:
    """Return a row's name with its model cut to fit, but not the machine's letter after it."""
    model, letter = name.rsplit(" ", 1) if several else (name, "")
    return f"{caption(model)} {letter}".rstrip()


def _bars(panel: Panel) -> dict[int, tuple[str, Mark]]:
    """Return the bars that are drawn, by row."""
    return {
        mark.y: (name, mark)
        for name, marks in panel.marks.items()
        for mark in marks
        if isinstance(mark.y, int) and mark.y < MOST_BARS
    }


def _draw_bars(axis: Axes, bars: Mapping[int, tuple[str, Extent]]) -> None:
    """Draw bars, each a colour and a rate, with their intervals: all in one call, which takes half the time."""
    rates = {place: rate for place, (_, rate) in bars.items()}
    colours = [colour for colour, _ in bars.values()]
    axis.barh(list(rates), [rate.value for rate in rates.values()], color=colours, height=0.66, alpha=0.9)
    reaches = {place: reach for place, rate in rates.items() if (reach := _reach(rate))}
    if reaches:
        values = [rates[place].value for place in reaches]
        both = np.hstack(list(reaches.values()))
        axis.errorbar(values, list(reaches), xerr=both, fmt="none", ecolor="#222222", capsize=3, elinewidth=1.2)
    for place, rate in rates.items():
        end = rate.value if rate.high is None else rate.high
        axis.annotate(amount(rate.value), (end, place), (5, 0), textcoords="offset points", va="center", fontsize=9.5)


def _reach(extent: Extent) -> list[list[float]] | None:
    """Return how far an interval extends to either side."""
    if extent.low is None or extent.high is None:
        return None
    return [[extent.value - extent.low], [extent.high - extent.value]]


def _draw_levels(axis: Axes, panel: Panel) -> None:
    for name, level in panel.levels:
        axis.axhline(level, color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
        axis.annotate(name, (1.01, level), xycoords=("axes fraction", "data"), va="center", color=GREY, fontsize=9.5)
