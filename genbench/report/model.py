"""The parts of a report, in order, from which `report.md` and `report.html` are written.

A part is a string: its own Markdown. Parts that HTML shows in more detail also carry their contents: a table its cells,
a cell its value, a picture its section.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Self

from genbench.report.escape import html, link_target, text

if TYPE_CHECKING:
    from genbench.report.chart import Chart
    from genbench.report.rows import Column
    from genbench.report.sections import Section

__all__ = ["Anchor", "Cell", "Details", "Gallery", "Paragraph", "Picture", "Table", "markdown"]


class Cell(str):
    """A table cell with the value it shows.

    Args:
        shown: Markdown, escaped.
        value: the sort key; None if it has no number.
        number: the row's name and the column of its number, if the number comes from records.
    """

    value: float | None
    number: tuple[str, Column] | None

    def __new__(cls, shown: str, value: float | None = None, number: tuple[str, Column] | None = None) -> Self:
        made = super().__new__(cls, shown)
        made.value, made.number = value, number
        return made


class Table(str):
    """A table of cells that are already escaped.

    Args:
        header: the column headings.
        lines: the cells, row by row; a `Cell` carries its sort key, any other cell is sorted by what it shows.
        left: how many of the first columns are left-aligned.
        words: headings of other columns that are left-aligned.
        section: the section that the numbers belong to, if they belong to one.
    """

    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    flush_left: tuple[bool, ...]
    section: Section | None

    def __new__(
        cls,
        header: Sequence[str],
        lines: Sequence[Sequence[str]],
        left: int = 1,
        words: Collection[str] = (),
        section: Section | None = None,
    ) -> Self:
        flush_left = tuple(place < left or heading in words for place, heading in enumerate(header))
        rule = [":---" if flush else "---:" for flush in flush_left]
        made = super().__new__(cls, "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *lines)))
        made.header, made.lines = tuple(header), tuple(map(tuple, lines))
        made.flush_left, made.section = flush_left, section
        return made


class Details(str):
    """Parts that are folded away under a summary.

    Args:
        summary: plain text.
        parts: what is folded away.
    """

    summary: str
    parts: tuple[str, ...]

    def __new__(cls, summary: str, parts: Sequence[str]) -> Self:
        made = super().__new__(cls, markdown([f"<details><summary>{html(summary)}</summary>", *parts, "</details>"]))
        made.summary, made.parts = summary, tuple(parts)
        return made


class Anchor(str):
    """A link target."""

    name: str

    def __new__(cls, name: str) -> Self:
        made = super().__new__(cls, f'<a id="{name}"></a>')
        made.name = name
        return made


class Picture(str):
    """A picture: a file relative to the report, with alternative text.

    Args:
        kind: `quality`, `losses`, `throughput`, ...; HTML draws the first two from the section's curves instead.
        section: the section that the picture belongs to, if it belongs to one.
        chart: what the picture shows, if HTML can draw it instead.
    """

    alt: str
    file: str
    kind: str
    section: Section | None
    chart: Chart | None

    def __new__(
        cls, alt: str, file: str, kind: str = "", section: Section | None = None, chart: Chart | None = None
    ) -> Self:
        made = super().__new__(cls, f"![{text(alt)}]({link_target(file)})")
        made.alt, made.file, made.kind, made.section, made.chart = alt, file, kind, section, chart
        return made


class Paragraph(str):
    """A paragraph that is worded differently in HTML, which shows more.

    Args:
        shown: the Markdown for `report.md`.
        instead: the Markdown for HTML.
    """

    instead: str

    def __new__(cls, shown: str, instead: str) -> Self:
        made = super().__new__(cls, shown)
        made.instead = instead
        return made


class Gallery(str):
    """What the models of a section produced, to look at, read or listen to.

    Args:
        shown: its Markdown: a picture, a listing, or an empty string.
        kind: of the artifacts: `samples` or `reconstructions`.
        section: the section that they belong to.
    """

    kind: str
    section: Section

    def __new__(cls, shown: str, kind: str, section: Section) -> Self:
        made = super().__new__(cls, shown)
        made.kind, made.section = kind, section
        return made


def markdown(parts: Sequence[str]) -> str:
    """Return the parts as Markdown, leaving out those that are empty because Markdown does not show them."""
    return "\n\n".join(part for part in parts if part)
