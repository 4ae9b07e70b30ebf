"""How every figure looks, and how it is written: no global state of matplotlib is read or left behind."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font

from genbench.atomic import replacing
from genbench.report.escape import one_line

__all__ = ["GREY", "Style", "axis_scale", "caption", "font_file", "new_figure", "plain_style", "save", "styles"]

# Okabe & Ito (2008), Color universal design, https://jfly.uni-koeln.de/color/ - without the yellow, which is lost on
# white. Each colour has a marker too, for print without colour.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#767676"
_WIDE_RANGE = 20.0
_CAPTION_LENGTH = 36

_SETTINGS = {
    "font.family": ["DejaVu Sans"],
    "font.size": 11.0,
    "axes.titlesize": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
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
    """Draw with genbench's settings and matplotlib's defaults, whatever the user's own `matplotlibrc` says."""
    backend = {"backend", "backend_fallback", "toolbar", "interactive"}
    settings: dict[Any, Any] = {
        name: value for name, value in matplotlib.rcParamsDefault.items() if name not in backend
    }
    with matplotlib.rc_context(settings | _SETTINGS):
        yield


def new_figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure of this size in inches with its axes, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [axis for row in axes for axis in row]


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, whole or not at all, without the version and date that matplotlib would put into it."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def styles(names: Iterable[str]) -> dict[str, Style]:
    """Return a colour and a marker a name, the first names first; those beyond the palette are grey."""
    found = {}
    for position, name in enumerate(dict.fromkeys(names)):
        coloured = position < len(_COLOURS)
        found[name] = (_COLOURS[position], _MARKERS[position]) if coloured else (GREY, ".")
    return found


def axis_scale(values: Sequence[float]) -> str:
    """Return `log` where all values are positive and span more than a factor of 20, else `linear`."""
    return "log" if values and min(values) > 0 and max(values) / min(values) > _WIDE_RANGE else "linear"


def caption(value: Any) -> str:
    """Return a name as a figure can show it: one line, not too long, no mathematics, no glyph that the font lacks."""
    known = _glyphs()
    shown = "".join(character if ord(character) in known else "?" for character in one_line(value))
    if len(shown) > _CAPTION_LENGTH:
        shown = f"{shown[: _CAPTION_LENGTH - 1]}…"
    # matplotlib leaves out of legends what begins with an underscore, and reads mathematics between dollars.
    return (f" {shown}" if shown.startswith("_") else shown).replace("$", r"\$")


@functools.cache
def font_file() -> Path:
    """Return the sans-serif face that matplotlib ships."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@functools.cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(str(font_file())).get_charmap())
