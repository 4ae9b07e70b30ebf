"""The three figures of growth, drawn only from their tables, in the style of genbench's reports."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from genbench.machine.atomic import replacing
from genbench.report.drawing import GREY, Margins, Style, count_axis, new_figure, plain_style, styles, value_axis

__all__ = ["FIGURES", "draw"]

BLACK: Style = ("#222222", "o")
MIB = 2**20
ALWAYS_LOGARITHMIC = (1.0, 1000.0)  # values that make any axis logarithmic: a growth law is a slope
_SHARES = [place / 20 for place in range(17, -18, -1)]  # of a reference line, where its name may be placed
Line = tuple[str, Style, pd.Series]  # its name, its style, and its values over x


def draw(name: str, table: pd.DataFrame, about: Mapping[str, Any], path: Path) -> None:
    """Write the figure `name` as SVG, the same bytes from the same table."""
    with plain_style(), matplotlib.rc_context({"svg.hashsalt": name}):
        figure = FIGURES[name](table, about)
        with replacing(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})


def training(table: pd.DataFrame, about: Mapping[str, Any]) -> Figure:
    """Draw images/s against width and against batch: the median over rounds, and the range of their middle half."""
    figure, axes = new_figure(11.5, 4.4, columns=2, margins=Margins(top=0.4, right=0.95, across=1.7))
    looks = styles(table["model"])
    options = table.drop_duplicates("model").set_index("model")
    named = ", ".join(f"{model} {round(row['width'] / row['multiple'])}" for model, row in options.iterrows())
    batch = int(table.loc[table["sweep"] == "width", "batch"].iloc[0])
    for axis, sweep, across, label, title in (
        (axes[0], "width", "multiple", f"width ÷ the default ({named})", f"batch of {batch}"),
        (axes[1], "batch", "batch", "images in a batch", "default widths"),
    ):
        rates = table[table["sweep"] == sweep].groupby(["model", across])["images_per_s"]
        lines = []
        for model, look in looks.items():
            low, middle, high = (rates.quantile(share)[model] for share in (0.25, 0.5, 0.75))
            axis.fill_between(middle.index, low, high, color=look[0], alpha=0.18, linewidth=0)
            lines.append((model, look, middle))
        _plot(axis, lines, label, "training images/s", title)
    _slope(axes[0], -2, "∝ 1 / width²")
    _slope(axes[1], 1, "∝ batch: overhead alone")
    return figure


def evaluation(table: pd.DataFrame, about: Mapping[str, Any]) -> Figure:
    """Draw seconds of the suite and its parts against N, one panel per dimension, and its memory."""
    figure, axes = new_figure(11.5, 8.6, columns=2, rows=2, margins=Margins(top=0.4, right=1.55, across=2.3, down=1.05))
    dimensions = sorted(table["d"].unique())
    looks = {"all": BLACK} | styles(part for part in table["part"].unique() if part != "all")
    for axis, dimension in zip(axes, dimensions, strict=False):
        here = table[table["d"] == dimension]
        seconds = here.groupby(["part", "n"])["seconds"].median()
        lines = [(_wrapped(part), look, seconds[part]) for part, look in looks.items() if part in seconds]
        _plot(axis, lines, "images N on each side", "seconds", f"{dimension} features an image")
        _slope(axis, 2, "∝ N²")
        _slope(axis, 1, "∝ N")
    memory = (table.groupby(["d", "n"])["added_bytes"].max() / MIB).clip(lower=1)
    kept = [(f"d = {dimension}", look, memory[dimension]) for dimension, look in _numbered(dimensions).items()]
    last = axes[len(dimensions)]
    _plot(last, kept, "images N on each side", "peak memory besides the features (MiB)", "memory")
    for axis in axes[len(dimensions) + 1 :]:
        axis.set_visible(False)
    return figure


def report(table: pd.DataFrame, about: Mapping[str, Any]) -> Figure:
    """Draw seconds of a report and its parts against the number of records, a panel per kind of folder, and memory."""
    figure, axes = new_figure(11.5, 4.4, columns=3, margins=Margins(top=0.4, right=0.95, across=1.5))
    looks = {"all": BLACK} | styles(part for part in table["part"].unique() if part != "all")
    kinds = list(table["grown"].unique())
    for axis, kind in zip(axes, kinds, strict=False):
        seconds = table[table["grown"] == kind].groupby(["part", "records"])["seconds"].median()
        lines = [(part, look, seconds[part]) for part, look in looks.items()]
        _plot(axis, lines, "records", "seconds", f"ever more {kind}")
        _slope(axis, 1, "∝ records")
    memory = (table.groupby(["grown", "records"])["added_bytes"].max() / MIB).clip(lower=1)
    kept = [(kind, look, memory[kind]) for kind, look in _numbered(kinds).items()]
    _plot(axes[-1], kept, "records", "peak memory (MiB)", "memory")
    _slope(axes[-1], 1, "∝ records")
    return figure


FIGURES = {"training": training, "evaluation": evaluation, "report": report}
"""Each figure's name and the function that draws it."""


def _numbered(names: Iterable[Any]) -> dict[Any, Style]:
    # Not the colours of the parts shown alongside, which these are not.
    return dict(zip(names, (("#222222", "o"), ("#767676", "s"), ("#a8a8a8", "^")), strict=False))


def _wrapped(part: str) -> str:
    """The first words of a part: the rest is in the caption."""
    return part.partition(":")[0]


def _plot(axis: Axes, lines: Sequence[Line], across: str, up: str, title: str) -> None:
    """Draw the lines on logarithmic axes, with their names at their right ends."""
    for name, (colour, marker), values in lines:
        heavy = 2.6 if name == "all" else 1.8
        axis.plot(values.index, values.to_numpy(), color=colour, marker=marker, linewidth=heavy)
    axis.set_xlabel(across)
    axis.set_ylabel(up)
    axis.set_title(title, fontweight="bold", loc="left")
    value_axis(axis, ALWAYS_LOGARITHMIC)
    count_axis(axis, ALWAYS_LOGARITHMIC)
    axis.autoscale_view()
    value_axis(axis, ALWAYS_LOGARITHMIC)  # again: its ticks depend on the extent of the scaled axis
    axis.set_xticks([float(place) for place in lines[0][2].index])
    axis.minorticks_off()
    _name_ends(axis, lines)


def _name_ends(axis: Axes, lines: Sequence[Line]) -> None:
    """Write each line's name next to its last point, moved apart where names would overlap."""
    to_paper = axis.transData - axis.transAxes
    height = axis.get_position().height * axis.figure.get_figheight()  # type: ignore[union-attr]
    least, previous = 0.17 / height, -math.inf
    ends = [(float(to_paper.transform((values.index[-1], values.iloc[-1]))[1]), name, look[0])
            for name, look, values in lines]  # fmt: skip
    placed = []
    for end, name, colour in sorted(ends):
        previous = max(end, previous + least)
        placed.append([previous, name, colour])
    over = max(0.0, previous - 1.0)
    for place, name, colour in placed:
        weight = "bold" if name == "all" else "normal"
        axis.annotate(name, (1.02, place - over), xycoords="axes fraction", va="center", color=colour,
                      fontsize=9.5, fontweight=weight)  # fmt: skip


def _slope(axis: Axes, power: float, name: str) -> None:
    """Draw a dotted reference line of a growth law through the middle of the axes."""
    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    middle, level = math.sqrt(left * right), math.sqrt(low * high)
    xs = [left, right]
    axis.plot(xs, [level * (x / middle) ** power for x in xs], color=GREY, linestyle=(0, (1, 2)), linewidth=1.2)
    axis.set_xlim(left, right)
    axis.set_ylim(low, high)
    reach = min(math.log(high / level) / abs(power), math.log(right / middle))  # until the line leaves the axes
    _name_slope(axis, name, lambda share: (middle * math.exp(share * reach), level * math.exp(share * reach * power)))


def _name_slope(axis: Axes, name: str, place: Callable[[float], tuple[float, float]]) -> None:
    """Write the name next to its line where it hides the least; `place` gives the line's points."""
    rising = place(1.0)[1] > place(0.0)[1]
    above = ("right", (-4, 3)) if rising else ("left", (4, 3))
    below = ("left", (4, -12)) if rising else ("right", (-4, -12))
    others = [text.get_window_extent() for text in axis.texts]
    points = np.concatenate([_along(axis.transData.transform(line.get_xydata())) for line in axis.lines])

    def covered(label: Annotation) -> float:
        box = label.get_window_extent().padded(3)
        inside = axis.get_window_extent()
        out = any(not inside.contains(*corner) for corner in (box.min, box.max))
        hit = ((points > box.min) & (points < box.max)).all(axis=1).sum()
        return float(hit) + 1e6 * (out + any(box.overlaps(other) for other in others))

    tried = []
    for share, (side, offset) in itertools.product(_SHARES, (above, below)):
        label = axis.annotate(name, place(share), offset, textcoords="offset points", color=GREY, fontsize=9, ha=side)
        tried.append((covered(label), label))
        label.remove()
    axis.add_artist(min(tried, key=operator.itemgetter(0))[1])


def _along(corners: np.ndarray) -> np.ndarray:
    """Return points along a line through `corners`, (K, 2) pixels: close enough that no label fits between two."""
    ends = np.arange(len(corners))
    places = np.linspace(0, len(corners) - 1, 400)
    return np.column_stack([np.interp(places, ends, corners[:, side]) for side in (0, 1)])
