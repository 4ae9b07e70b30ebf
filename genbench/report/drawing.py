"""The style of every figure, and how figures become PNG: matplotlib's global state is neither read nor changed."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from genbench.report.escape import one_line

__all__ = [
    "GREY",
    "Margins",
    "Style",
    "caption",
    "count_axis",
    "dashes",
    "font_file",
    "label_inches",
    "legend_above",
    "legend_room",
    "new_figure",
    "plain_style",
    "png",
    "scale",
    "styles",
    "value_axis",
]

# Okabe & Ito (2008), Color universal design, https://jfly.uni-koeln.de/color/ - without yellow, which is invisible on
# white. Each colour also has a marker, for printing without colour.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#767676"

# For losses: no colour is a model's, so nobody mistakes a generator's loss for the model of that colour. Tol (2021),
# Colour schemes, https://personal.sron.nl/~pault/: those of "muted" that are far from the ones above. Beyond these, the
# stroke changes.
_LOSS_COLOURS = ("#332288", "#999933", "#882255", "#117733", "#555555", "#AA4499")
_STROKES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))

_SETTINGS = {
    "font.family": ["DejaVu Sans"],
    "font.size": 11.0,
    "axes.titlesize": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.titley": 1.0,  # the default position; finding it automatically would measure every text of the axes again
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 5.0,
    "savefig.dpi": 130.0,
}

Style = tuple[str, str]
"""A colour and a marker."""


@contextmanager
def plain_style() -> Iterator[None]:
    """Draw with genbench's settings and matplotlib's defaults, regardless of the user's `matplotlibrc`."""
    backend = {"backend", "backend_fallback", "toolbar", "interactive"}
    settings: dict[Any, Any] = {
        name: value for name, value in matplotlib.rcParamsDefault.items() if name not in backend
    }
    with matplotlib.rc_context(settings | _SETTINGS):
        yield


@dataclass(frozen=True)
class Margins:
    """The space around and between axes, in inches.

    It is fixed rather than found by a layout engine: those draw every text two more times, which took half of a
    report's time.
    """

    left: float = 0.8
    right: float = 0.2
    top: float = 0.15
    bottom: float = 0.6
    across: float = 0.7
    down: float = 0.95


def new_figure(
    width: float, height: float, columns: int = 1, rows: int = 1, margins: Margins | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure of this size in inches with its axes, row by row."""
    room = margins or Margins()
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    inner = (width - room.left - room.right - (columns - 1) * room.across) / columns
    tall = (height - room.top - room.bottom - (rows - 1) * room.down) / rows
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        left=room.left / width,
        right=1 - room.right / width,
        top=1 - room.top / height,
        bottom=room.bottom / height,
        wspace=room.across / inner,
        hspace=room.down / tall,
    )
    return figure, [axis for row in axes for axis in row]


def label_inches(labels: Iterable[str]) -> float:
    """Return the approximate width of the longest label, in inches."""
    return 0.092 * max(map(len, labels), default=0)


def png(figure: Figure) -> bytes:
    """Return the figure as PNG, without the version and date that matplotlib would put into it."""
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def styles(names: Iterable[str]) -> dict[str, Style]:
    """Return a colour and a marker for each name, in order; names beyond the palette are grey."""
    found = {}
    for position, name in enumerate(dict.fromkeys(names)):
        coloured = position < len(_COLOURS)
        found[name] = (_COLOURS[position], _MARKERS[position]) if coloured else (GREY, ".")
    return found


def dashes(names: Iterable[str]) -> dict[str, tuple[str, Any]]:
    """Return a colour and a stroke for each loss name; no colour is a model's."""
    return {
        name: (_LOSS_COLOURS[place % len(_LOSS_COLOURS)], _STROKES[place // len(_LOSS_COLOURS) % len(_STROKES)])
        for place, name in enumerate(dict.fromkeys(names))
    }


def legend_above(figure: Figure, axes: Sequence[Axes], across: int) -> None:
    """Add one legend for the lines of all axes, above the figure, where it covers no line."""
    named = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if named:
        figure.legend(named.values(), named.keys(), loc="upper center", ncols=across, borderaxespad=0.2)


def legend_room(names: Sequence[str], width: float) -> tuple[int, float]:
    """Return how many of these captions fit side by side in `width` inches, and the total height of the legend."""
    across = max(1, min(len(names), int(width / (0.7 + label_inches(names)))))
    return across, 0.25 * math.ceil(len(names) / across)


def count_axis(axis: Axes, across: Sequence[float]) -> None:
    """Set up an x axis of counts or seconds: from zero with ticks such as `50k`, or logarithmic.

    Args:
        across: one typical value per model; the axis is logarithmic if they differ by more than a factor of 8.
    """
    if scale(across, factor=8.0) == "log":
        # The start of training, at zero, cannot be shown on this scale: curves start at their first point after it.
        axis.set_xscale("log", nonpositive="mask")
        _name_powers(axis.xaxis)
    else:
        axis.set_xlim(left=0)
        axis.xaxis.set_major_formatter(_tick)


def value_axis(axis: Axes, values: Sequence[float]) -> None:
    """Set up a y axis for these values: logarithmic if they are positive and span more than a factor of 20."""
    axis.set_yscale(scale(values), **({"nonpositive": "clip"} if scale(values) == "log" else {}))
    if axis.get_yscale() == "log":
        _name_powers(axis.yaxis)


def caption(value: Any, most: int = 36) -> str:
    """Return a name as a figure can show it: one line of at most `most` characters, all of them in the font."""
    known = _glyphs()
    shown = "".join(character if ord(character) in known else "?" for character in one_line(value))
    if len(shown) > most:
        shown = f"{shown[: most - 1]}…"
    # matplotlib omits labels that start with an underscore from legends, and parses text between dollars as
    # mathematics.
    return (f" {shown}" if shown.startswith("_") else shown).replace("$", r"\$")


def scale(values: Sequence[float], factor: float = 20.0) -> str:
    """Return `log` if all values are positive and span more than `factor`, otherwise `linear`."""
    return "log" if values and min(values) > 0 and max(values) / min(values) > factor else "linear"


def _name_powers(axis: Axis) -> None:
    low, high = axis.get_view_interval()
    if high < 1000 * low:  # powers of ten only would leave one or two ticks, and many labels would overlap
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 60 * low else (1.0, 3.0)))
        # The labelled ticks already show the scale; unlabelled ones between them took a third of a figure's time.
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(_tick)
    axis.set_minor_formatter(NullFormatter())


def _tick(value: float, _: float | None = None) -> str:
    for prefix, factor in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:.4g}{prefix}"
    return f"{value:.4g}"


@functools.cache
def font_file() -> Path:
    """Return the sans-serif font that ships with matplotlib."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@functools.cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(str(font_file())).get_charmap())
