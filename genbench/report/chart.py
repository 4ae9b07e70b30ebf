"""What a chart of single values shows, from which HTML draws it: bars, points with intervals, and steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from genbench.records.statistics import Summary

__all__ = ["Chart", "Extent", "Mark", "Panel"]


@dataclass(frozen=True)
class Extent:
    """A value, and the ends of its interval if it has one."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def around(cls, value: float, half_width: float | None) -> Extent:
        """Return a value with a symmetric interval; without one if `half_width` is None."""
        return cls(value) if half_width is None else cls(value, value - half_width, value + half_width)

    @classmethod
    def of(cls, summary: Summary) -> Extent:
        """Return a mean over seeds with its interval."""
        return cls.around(summary.mean, summary.half_width)


@dataclass(frozen=True)
class Mark:
    """One value of a model.

    Args:
        x: where it is along the horizontal axis.
        y: along the vertical axis; a plain number is the position of its row in `Panel.rows`.
        seeds: training seed, and the value's x and y for it; y is None if it has a row.
    """

    x: Extent
    y: Extent | int
    seeds: Sequence[tuple[int, float, float | None]] = ()


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Args:
        kind: how marks are drawn. Points that share a row are moved apart, ranks are not; the marks of `steps` are the
            left ends of a line's steps.
        x: label of the horizontal axis.
        y: label of the vertical axis; empty if it has rows.
        marks: model -> its marks, the best model first.
        rows: names of the rows from top to bottom; empty if the vertical axis has numbers.
        levels: horizontal lines: name and value.
        uprights: vertical lines: name and value.
        interval: what the marks' intervals are.
        log_x: whether the horizontal axis is logarithmic at first.
        log_y: whether the vertical axis is.
        most: the most models that are drawn at once; None for no limit.
    """

    kind: Literal["bars", "points", "ranks", "steps"]
    x: str
    y: str
    marks: Mapping[str, Sequence[Mark]]
    rows: Sequence[str] = ()
    levels: Sequence[tuple[str, float]] = ()
    uprights: Sequence[tuple[str, float]] = ()
    interval: str = "95% interval"
    log_x: bool = False
    log_y: bool = False
    most: int | None = None


@dataclass(frozen=True)
class Chart:
    """Panels side by side with one legend.

    Args:
        panels: from left to right, or from top to bottom on a narrow screen.
        first: how many models, from the best, are drawn before a reader chooses others.
    """

    panels: Sequence[Panel]
    first: int
