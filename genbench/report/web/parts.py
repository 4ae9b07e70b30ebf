"""Writes each part of a report as HTML."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.report.drawing import Style
from genbench.report.escape import html
from genbench.report.model import Anchor, Cell, Details, Gallery, Paragraph, Picture, Table
from genbench.report.rows import Column
from genbench.report.sections import Section
from genbench.report.web.charted import charted
from genbench.report.web.facts import MOST_ROWS
from genbench.report.web.gallery import data_uri, gallery
from genbench.report.web.prose import blocks, inline, plain_text

__all__ = ["Context", "written"]

_NAMES = ("model", "cell", "first")  # headings of the column that names a row's model
_MOST_ROWS = 400
"""Rows of a table that the browser lays out when it opens the page; those of a larger table are built on demand."""

_LONG = 40  # rows; longer tables scroll separately
_MANY = 12  # columns; wider tables are printed in smaller letters
_WIDE = 40  # characters; longer cells may wrap
_DRAWN = ("quality", "losses")  # pictures that are replaced by a chart


@dataclass
class Context:
    """What parts refer to while a page is written.

    Args:
        directory: holds the pictures and artifacts.
        sections: in page order; parts refer to them by position.
        colours: model -> its style in the figures.
    """

    directory: Path
    sections: Sequence[Section]
    colours: Mapping[str, Style]
    headings: dict[str, int] = field(default_factory=dict)
    stored: list[list[str]] = field(default_factory=list)  # rows of large tables
    charts: list[dict[str, Any]] = field(default_factory=list)

    def place(self, section: Section) -> int | None:
        """Return the position of a section; None if the page has only a table of it."""
        return next((place for place, other in enumerate(self.sections) if other is section), None)

    @functools.cached_property
    def rows(self) -> list[dict[str, int]]:
        """For each section, row name -> position, for the rows whose numbers can be opened."""
        return [{row.name: at for at, row in enumerate(section.rows[:MOST_ROWS])} for section in self.sections]

    @functools.cached_property
    def columns(self) -> list[dict[Column, int]]:
        """For each section, column -> position."""
        return [{column: place for place, column in enumerate(section.columns)} for section in self.sections]

    @functools.cached_property
    def lost(self) -> list[set[str]]:
        """For each section, the names of rows with a failed seed."""
        return [{row.name for row in section.rows if row.lost} for section in self.sections]


def written(part: str, context: Context) -> str:
    """Return one part as HTML."""
    if isinstance(part, Table):
        return _table(part, context)
    if isinstance(part, Details):
        inside = "".join(written(each, context) for each in part.parts)
        return f"<details><summary>{html(part.summary)}</summary>{inside}</details>"
    if isinstance(part, Anchor):
        return f'<span id="{html(part.name)}"></span>'
    if isinstance(part, Gallery):
        return gallery(part, context.directory)
    if isinstance(part, Picture):
        return _picture(part, context)
    source = part.instead if isinstance(part, Paragraph) else part
    return blocks(source, context.headings) if source else ""


def _picture(part: Picture, context: Context) -> str:
    address = data_uri(context.directory / part.file)
    shown = f'<img alt="{html(part.alt)}" src="{address}" decoding="async">' if address else ""
    if part.section is not None and part.kind in _DRAWN:
        place = context.place(part.section)
        return _chart(part, f'data-s="{place}"', shown)
    if part.chart is not None:
        context.charts.append(charted(part.chart, context.colours))
        return _chart(part, f'data-n="{len(context.charts) - 1}"', shown)
    return f'<figure class="picture">{shown}</figure>' if shown else ""


def _chart(part: Picture, data: str, shown: str) -> str:
    kind = f' data-chart="{part.kind}"' if part.kind else ""
    return f'<figure class="chart"{kind} {data} data-alt="{html(part.alt)}"><noscript>{shown}</noscript></figure>'


def _table(part: Table, context: Context) -> str:
    place = None if part.section is None else context.place(part.section)
    named = next((at for at, heading in enumerate(part.header) if heading in _NAMES), None)
    across = place is not None and part.header[0] == "number"
    head = "".join(
        f'<th scope="col"{_flush(part, at)}{_model(heading) if across and at else ""}>{inline(heading)}</th>'
        for at, heading in enumerate(part.header)
    )
    rows = [_row(part, line, context, place, named) for line in part.lines]
    kept, long = "", " long" * (len(rows) > _LONG) + " many" * (len(part.header) > _MANY)
    if len(rows) > _MOST_ROWS:
        kept = f' data-rows="{len(context.stored)}"'
        context.stored.append(rows)
        rows = []
    return (
        f'<div class="table{long}" role="region" tabindex="0" aria-label="{html(_caption(part))}"><table{kept}>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _caption(part: Table) -> str:
    of = f" of {part.section.name}" if part.section else ""
    shown = [plain_text(heading) for heading in part.header if heading]
    return f"table{of}: {', '.join(shown[:6])}{', …' if len(shown) > 6 else ''}"


def _row(part: Table, line: Sequence[str], context: Context, place: int | None, named: int | None) -> str:
    about = ""
    if named is not None:
        name = plain_text(line[named])
        about = _model(line[named])
        if "failed" in line or part.header[named] == "cell" or (place is not None and name in context.lost[place]):
            about += " data-failed"
    if "dataset" in part.header:
        about += f' data-d="{html(plain_text(line[part.header.index("dataset")]))}"'
    heading = named or 0
    cells = (
        _cell(cell, flush_left, "th" if at == heading else "td", context, place)
        for at, (cell, flush_left) in enumerate(zip(line, part.flush_left, strict=True))
    )
    return f"<tr{about}>{''.join(cells)}</tr>"


def _model(source: str) -> str:
    return f' data-m="{html(plain_text(source))}"'


def _flush(part: Table, at: int) -> str:
    return ' class="l"' if part.flush_left[at] else ""


def _cell(cell: str, flush_left: bool, tag: str, context: Context, place: int | None) -> str:
    shown, sorted_by = inline(cell), ""
    if isinstance(cell, Cell):
        if cell.value is not None and math.isfinite(cell.value):
            sorted_by = f' data-v="{cell.value:.9g}"'
        if place is not None and cell.number is not None and cell.number[0] in context.rows[place]:
            name, column = cell.number
            where = f"{place},{context.rows[place][name]},{context.columns[place][column]}"
            shown = f'<button type="button" class="n" data-n="{where}">{shown}</button>'
    elif found := _COUNT.match(cell):
        sorted_by = f' data-v="{found[0].replace(",", "")}"'
    scope = ' scope="row"' if tag == "th" else ""
    faces = " ".join(["l"] * flush_left + ["w"] * (len(cell) > _WIDE))
    face = f' class="{faces}"' if faces else ""
    return f"<{tag}{scope}{face}{sorted_by}>{shown}</{tag}>"


_COUNT = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.])")
