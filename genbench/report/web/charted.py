"""The data of a chart for the page's script, which draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genbench.report.chart import Chart, Extent, Mark, Panel
from genbench.report.drawing import Style
from genbench.report.escape import one_line
from genbench.report.web.facts import MOST_ROWS, MOST_SEEDS, rounded

__all__ = ["charted"]

_SHAPES = {"o": "circle", "s": "square", "^": "up", "D": "diamond", "v": "down", "P": "plus", "X": "cross"}
"""matplotlib's markers of the models, and what the script calls these shapes."""


def charted(chart: Chart, colours: Mapping[str, Style]) -> dict[str, Any]:
    """Return a chart as plain values; the first `MOST_ROWS` models of a larger one.

    Args:
        chart: what to draw.
        colours: model -> its style in the figures.
    """
    models = list(dict.fromkeys(name for panel in chart.panels for name in panel.marks))[:MOST_ROWS]
    return {
        "first": chart.first,
        "models": [_model(name, colours.get(name)) for name in models],
        "panels": [_panel(panel, models) for panel in chart.panels],
    }


def _model(name: str, style: Style | None) -> dict[str, Any]:
    colour, marker = style or (None, "")
    return {"name": one_line(name), "colour": colour, "shape": _SHAPES.get(marker, "circle")}


def _panel(panel: Panel, models: Sequence[str]) -> dict[str, Any]:
    marks = [[_mark(mark) for mark in panel.marks.get(name, ())] for name in models]
    return {
        "kind": panel.kind,
        "x": one_line(panel.x),
        "y": one_line(panel.y),
        "rows": [one_line(row) for row in panel.rows],
        "levels": [_level(*level) for level in panel.levels],
        "uprights": [_level(*level) for level in panel.uprights],
        "interval": panel.interval,
        "logX": panel.log_x,
        "logY": panel.log_y,
        "most": panel.most,
        "marks": marks,
    }


def _mark(mark: Mark) -> dict[str, Any]:
    seeds = [[seed, rounded(x), None if y is None else rounded(y)] for seed, x, y in mark.seeds[:MOST_SEEDS]]
    at = {"row": mark.y} if isinstance(mark.y, int) else {"y": _extent(mark.y)}
    return {"x": _extent(mark.x), **at, **({"seeds": seeds, "of": len(mark.seeds)} if seeds else {})}


def _extent(extent: Extent) -> list[float | int | None]:
    """Return a value alone, or with the ends of its interval."""
    if extent.low is None or extent.high is None:
        return [rounded(extent.value)]
    return [rounded(extent.value), rounded(extent.low), rounded(extent.high)]


def _level(name: str, value: float) -> dict[str, Any]:
    return {"name": one_line(name), "value": rounded(value)}
