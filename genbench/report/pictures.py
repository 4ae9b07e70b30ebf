"""The pictures of a section, each with a note on how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from genbench.report.chart import Chart
from genbench.report.curves import MOST_LINES, MOST_PANELS
from genbench.report.escape import text
from genbench.report.model import Gallery, Paragraph, Picture
from genbench.report.montage import MOST_TILES
from genbench.report.sections import Section
from genbench.report.speeds import MOST_BARS

__all__ = ["GALLERIES", "PAIRS", "Pictures", "losses", "quality_curves", "reconstructions", "samples", "speeds"]


GALLERIES = ("samples", "reconstructions")
"""What the models produced, as opposed to plots of numbers."""

PAIRS = "pairs of original (left) and reconstruction (right)"
_INTERVALS = ", with 95% intervals over seeds (for a cost, the geometric mean and the interval of its logarithm)"


@dataclass(frozen=True)
class Pictures:
    """The pictures of one section.

    Args:
        files: `samples`, `quality`, … -> the file, relative to the report.
        listings: `samples` or `reconstructions` -> Markdown, if the models' output is read rather than looked at.
        charts: `throughput`, … -> what the picture shows, if HTML can draw it instead.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    listings: Mapping[str, str] = field(default_factory=dict)
    charts: Mapping[str, Chart] = field(default_factory=dict)

    def show(self, section: Section, kind: str, alt: str, note: str) -> list[str]:
        """Return the picture with its note, or nothing if it was not drawn."""
        if kind in self.listings:
            return [Gallery(self.listings[kind], kind, section), note]
        if kind not in self.files:  # clips have no picture and appear only in HTML
            return [Gallery("", kind, section)] if kind in GALLERIES else []
        picture = Picture(alt, self.files[kind], kind, section, self.charts.get(kind))
        return [Gallery(picture, kind, section) if kind in GALLERIES else picture, note]


def samples(section: Section, pictures: Pictures) -> list[str]:
    """Show samples of each model next to the data."""
    more = f" The best {MOST_TILES - 1} models are shown." if len(section.models) >= MOST_TILES else ""
    return pictures.show(
        section,
        "samples",
        f"samples of each model on {section.name}",
        Paragraph(
            "The data and each model's samples, drawn at the end of the budget from its first seed, not selected."
            f"{more}",
            "The data and what each seed drew at the end of the budget, not selected.",
        ),
    )


def reconstructions(section: Section, pictures: Pictures) -> list[str]:
    """Show held-out items next to the models' reconstructions."""
    return pictures.show(
        section,
        "reconstructions",
        f"reconstructions on {section.name}",
        f"Held-out {section.noun}; {PAIRS}.",
    )


def quality_curves(section: Section, pictures: Pictures) -> list[str]:
    """Show quality over training."""
    heading = _heading(section)
    lines = "dashed: controls; hollow, at the edge of an axis that has no zero: before the first step"
    if section.is_repeated:
        seeds = "thick: mean over seeds; thin: each seed (with more than five seeds, a band from lowest to highest)"
        lines = f"{seeds}; {lines}"
    return pictures.show(
        section,
        "quality",
        f"{heading} against training {section.noun}, seconds and FLOPs on {section.name}",
        _selected(f"{heading} over training: {lines}.", section, MOST_LINES),
    )


def speeds(section: Section, pictures: Pictures) -> list[str]:
    """Show what training and sampling cost, alone and against quality."""
    name, heading = section.name, _heading(section)
    mean, intervals = ("mean over seeds of ", _INTERVALS) if section.is_repeated else ("", "")
    return [
        *pictures.show(
            section,
            "throughput",
            f"training and sampling {section.noun} per second on {name}",
            _selected(
                f"Bars: {mean}the median window; lines: 5th to 95th percentile of the windows.", section, MOST_BARS
            ),
        ),
        *pictures.show(
            section,
            "trade-off",
            f"{heading} against training seconds and sampling {section.noun} per second on {name}",
            _selected(f"{heading} against cost{intervals}; arrows point in the better direction.", section, MOST_BARS),
        ),
    ]


def losses(section: Section, pictures: Pictures) -> list[str]:
    """Show the losses over training."""
    return pictures.show(
        section,
        "losses",
        f"losses of each model on {section.name}",
        "Losses under the names that each model gives them; they are not comparable between models. Each point "
        "averages the steps since the previous point, so a curve starts after the first steps rather than at zero."
        f"{_best(section, MOST_PANELS)}",
    )


def _heading(section: Section) -> str:
    return text(section.quantity.heading) if section.quantity else "quality"


def _selected(note: str, section: Section, most: int) -> str:
    """Return a note on a figure of the best models, which HTML draws first of all."""
    if not _best(section, most):
        return note
    return Paragraph(
        note + _best(section, most), f"{note} The best {most} models are drawn at first; select others in the legend."
    )


def _best(section: Section, most: int) -> str:
    """Return a note that a figure shows only the best `most` models, if there are more."""
    return f" The best {most} models are drawn." if len(section.models) > most else ""
