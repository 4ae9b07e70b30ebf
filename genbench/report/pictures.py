"""The pictures of a section, each with the note that says how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from genbench.report.curves import MOST_LINES, MOST_PANELS
from genbench.report.escape import text
from genbench.report.model import Gallery, Paragraph, Picture
from genbench.report.montage import MOST_TILES
from genbench.report.sections import Section
from genbench.report.speeds import MOST_BARS

__all__ = ["GALLERIES", "PAIRS", "Pictures", "losses", "quality_curves", "reconstructions", "samples", "speeds"]


GALLERIES = ("samples", "reconstructions")
"""What the models made, rather than a drawing of numbers."""

PAIRS = "the original on the left, its reconstruction on the right of each pair"
_INTERVALS = ", with 95% intervals over seeds (of a cost: geometric mean and interval of its logarithm)"


@dataclass(frozen=True)
class Pictures:
    """The pictures of one section.

    Args:
        files: `samples`, `quality`, … -> the file, relative to the report.
        listings: `samples` or `reconstructions` -> Markdown, where what models make is read and not looked at.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    listings: Mapping[str, str] = field(default_factory=dict)

    def show(self, section: Section, kind: str, alt: str, note: str) -> list[str]:
        """Return the picture with its note, or nothing where it was not drawn."""
        if kind in self.listings:
            return [Gallery(self.listings[kind], kind, section), note]
        if kind not in self.files:  # clips are no picture, and have their place in HTML alone
            return [Gallery("", kind, section)] if kind in GALLERIES else []
        picture = Picture(alt, self.files[kind], kind, section)
        return [Gallery(picture, kind, section) if kind in GALLERIES else picture, note]


def samples(section: Section, pictures: Pictures) -> list[str]:
    """Show samples of each model beside the data."""
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
    """Show held-out items beside what the models restore of them."""
    return pictures.show(
        section,
        "reconstructions",
        f"reconstructions on {section.name}",
        f"Held-out {section.noun}; {PAIRS}.",
    )


def quality_curves(section: Section, pictures: Pictures) -> list[str]:
    """Show quality along the training."""
    heading = _heading(section)
    lines = (
        "thick, the mean over seeds; thin, each seed (beyond five seeds a band from the least to the greatest); "
        "dashed, the controls; hollow, at the edge of an axis that has no zero, before the first step"
    )
    if not section.is_repeated:
        lines = "dashed, the controls; hollow, at the edge of an axis that has no zero, before the first step"
    return pictures.show(
        section,
        "quality",
        f"{heading} against training {section.noun}, seconds and FLOPs on {section.name}",
        f"{heading} along the training: {lines}.{_best(section, MOST_LINES)}",
    )


def speeds(section: Section, pictures: Pictures) -> list[str]:
    """Show what training and sampling cost, alone and against quality."""
    name, heading, most = section.name, _heading(section), _best(section, MOST_BARS)
    mean, intervals = ("mean over seeds of ", _INTERVALS) if section.is_repeated else ("", "")
    return [
        *pictures.show(
            section,
            "throughput",
            f"training and sampling {section.noun} per second on {name}",
            f"Bars: {mean}the median window; lines: 5th to 95th percentile of the windows.{most}",
        ),
        *pictures.show(
            section,
            "trade-off",
            f"{heading} against training seconds and sampling {section.noun} per second on {name}",
            f"{heading} against what it costs{intervals}; the arrows point to the better side.{most}",
        ),
    ]


def losses(section: Section, pictures: Pictures) -> list[str]:
    """Show the losses along the training."""
    return pictures.show(
        section,
        "losses",
        f"losses of each model on {section.name}",
        "Losses under the names that each model gives them; they are not comparable between models. Each point "
        "averages the steps since the point before, so a curve begins after the first steps and not at zero."
        f"{_best(section, MOST_PANELS)}",
    )


def _heading(section: Section) -> str:
    return text(section.quantity.heading) if section.quantity else "quality"


def _best(section: Section, most: int) -> str:
    """Say that a figure draws the best `most` models, where there are more."""
    return f" The best {most} models are drawn." if len(section.models) > most else ""
