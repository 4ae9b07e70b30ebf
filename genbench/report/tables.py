"""The tables of a section in Markdown: quality and cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from genbench.records.statistics import summarise
from genbench.report.escape import code, text
from genbench.report.formatting import NOTHING, amount, flag, interval, memory, plain
from genbench.report.machines import Machine
from genbench.report.model import Cell, Table
from genbench.report.quantities import FLAGS, HEADLINE, quantity
from genbench.report.rows import Column, Row
from genbench.report.sections import Section

__all__ = [
    "cost_table",
    "evaluation_table",
    "field_value",
    "headline_columns",
    "markdown_table",
    "other_table",
    "quality_table",
]

Cost = Mapping[str, Any]

_MOST_ACROSS = 10
_LEAST_SHOWN_S = 1e-3  # anything less is the time to find out that there is nothing to do


def markdown_table(
    header: Sequence[str],
    lines: Sequence[Sequence[str]],
    left: int = 1,
    words: Collection[str] = (),
    section: Section | None = None,
) -> Table:
    """Return a table of cells that are already escaped, for Markdown and HTML.

    The first `left` columns are left-aligned, as are those whose headings are in `words`. `section` is the section that
    the numbers belong to, if they belong to one.
    """
    return Table(header, lines, left, words, section)


def field_value(value: Any) -> str:
    """Return a field of a recipe, escaped; a long digest is cut to its first eight digits."""
    if value is None:
        return NOTHING
    shown = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    is_digest = len(shown) > 16 and all(digit in "0123456789abcdef" for digit in shown)
    return code(f"{shown[:8]}…") if is_digest else text(shown)


def headline_columns(section: Section) -> list[Column]:
    """Return the columns of the first table: the headline numbers, and the one that the section is sorted by."""
    return [column for column in section.columns if column[0] in HEADLINE or column == section.main]


def quality_table(section: Section) -> str:
    """Return rank, row, seeds and headline numbers: models sorted by the main metric, then controls."""
    columns = headline_columns(section)
    ranked = any(section.ranks.values())
    lines = []
    for row in section.rows:
        rank = section.ranks.get(row.name)
        best = rank is not None and rank.best == 1 and rank.worst < len(section.models)
        shown = Cell(
            f"**{rank}**" if best else str(rank or (NOTHING if row.is_model else "")), rank.best if rank else None
        )
        name = f"**{code(row.name)}**" if best else code(row.name) if row.is_model else f"*{text(row.name)}*"
        lines.append([*([shown] if ranked else []), name, _seeds(row), *_cells(row, columns)])
    header = [*(["rank"] if ranked else []), "model", "seeds", *_headings(columns)]
    return markdown_table(header, lines, left=2 if ranked else 1, section=section)


def other_table(section: Section) -> str:
    """Return the numbers that the first table leaves out, one per line; an empty string if there are none.

    If more rows were measured than fit side by side, each line is a row of the first table instead.
    """
    columns = [column for column in section.columns if column not in headline_columns(section)]
    return _across(section, columns, lambda row: _cells(row, columns))


def evaluation_table(section: Section) -> str:
    """Return the standard error of one evaluation for each number that has one; an empty string if there are none."""
    columns = [column for column in section.columns if any(row.standard_error(column) for row in section.rows)]

    def cells(row: Row) -> list[str]:
        errors = [row.standard_error(column) for column in columns]
        return [
            NOTHING if error is None else Cell(plain(float(f"{error:.2g}")), error, (row.name, column))
            for column, error in zip(columns, errors, strict=True)
        ]

    return _across(section, columns, cells)


def _across(section: Section, columns: Sequence[Column], cells_of: Callable[[Row], list[str]]) -> str:
    """Return a table with one line per number, or one line per model if there are too many to fit side by side."""
    if not columns:
        return ""
    measured = [row for row in section.rows if row.records]
    if len(measured) > _MOST_ACROSS:
        lines = [[code(row.name), *cells_of(row)] for row in measured]
        return markdown_table(["model", *_headings(columns)], lines, section=section)
    header = ["number", *(code(row.name) if row.is_model else f"*{text(row.name)}*" for row in measured), "recipe"]
    cells = [cells_of(row) for row in measured]
    headings = [text(quantity(metric).axis) for metric, _ in columns]
    lines = [
        [heading, *(of_row[place] for of_row in cells), code(columns[place][1])]
        for place, heading in enumerate(headings)
    ]
    return markdown_table(header, lines, section=section)


def cost_table(section: Section, known: Sequence[Machine]) -> str:
    """Return speed, memory and size of the models, one line per machine; an empty string if nothing was recorded."""
    several = len(known) > 1
    found: list[tuple[list[str], list[str]]] = []
    for machine in known:
        for row in section.models:
            costs = [record["cost"] for record in row.records if record["id"] in machine.record_ids]
            if costs:
                cells = [
                    show([value for cost in costs if (value := read(cost)) is not None]) for _, read, show in _COSTS
                ]
                found.append(([code(row.name), *([machine.letter] if several else [])], cells))
    used = [place for place in range(len(_COSTS)) if any(cells[place] != NOTHING for _, cells in found)]
    if not used:
        return ""
    header = [
        "model",
        *(["machine"] if several else []),
        *(_COSTS[place][0].format(noun=section.noun, one=section.noun.removesuffix("s")) for place in used),
    ]
    lines = [[*names, *(cells[place] for place in used)] for names, cells in found]
    return markdown_table(header, lines, left=2 if several else 1, section=section)


def _headings(columns: Sequence[Column]) -> list[str]:
    metrics = [metric for metric, _ in columns]
    return [
        text(quantity(metric).axis) + (f" {code(recipe)}" if metrics.count(metric) > 1 else "")
        for metric, recipe in columns
    ]


def _seeds(row: Row) -> str:
    if row.unsuitable:
        return NOTHING
    if row.lost:
        return f"{len(row.records)} of {len(row.records) + row.lost}"
    return str(len(row.records))


def _cells(row: Row, columns: Sequence[Column]) -> list[str]:
    if row.unsuitable:
        return [f"not applicable: {text(row.unsuitable)}", *[NOTHING] * (len(columns) - 1)] if columns else []
    if not row.records:
        return ["failed", *[NOTHING] * (len(columns) - 1)] if columns else []
    return [_cell(row, column) for column in columns]


def _cell(row: Row, column: Column) -> str:
    summary = row.summary(column)
    if summary.n == 0:
        return NOTHING
    if column[0] in FLAGS:
        return Cell(flag(summary.mean), summary.mean, (row.name, column))
    fewer = f" (n = {summary.n})" if summary.n < len(row.records) else ""
    return Cell(interval(summary.mean, summary.half_width) + fewer, summary.mean, (row.name, column))


def _rate(name: str) -> Callable[[Cost], float | None]:
    def read(cost: Cost) -> float | None:
        windows = cost.get(name)
        return windows["median"] if windows else None

    return read


def _field(name: str, least: float = 0.0) -> Callable[[Cost], float | None]:
    def read(cost: Cost) -> float | None:
        value: float | None = cost.get(name)
        return value if value is not None and value >= least else None

    return read


def _mean(values: Sequence[float]) -> str:
    summary = summarise(values)
    return Cell(interval(summary.mean, summary.half_width), summary.mean)


def _largest(show: Callable[[float | None], str]) -> Callable[[Sequence[float]], str]:
    def shown(values: Sequence[float]) -> str:
        most = max(values, default=None)
        return Cell(show(most), most)

    return shown


_COSTS: tuple[tuple[str, Callable[[Cost], float | None], Callable[[Sequence[float]], str]], ...] = (
    ("training {noun}/s ↑", _rate("train_items_per_s"), _mean),
    ("sampling {noun}/s ↑", _rate("sample_items_per_s"), _mean),
    ("training (s)", _field("train_s"), _mean),
    ("of which before the first step (s)", _field("before_training_s", least=_LEAST_SHOWN_S), _mean),
    ("before sampling (s)", _field("before_sampling_s", least=_LEAST_SHOWN_S), _mean),
    ("device memory, allocated ↓", _field("peak_allocated_bytes"), _largest(memory)),
    ("device memory, reserved ↓", _field("peak_reserved_bytes"), _largest(memory)),
    ("process memory ↓", _field("peak_resident_bytes"), _largest(memory)),
    ("parameters", _field("parameters"), _largest(amount)),
    ("training FLOPs/{one}", _field("train_flops_per_item"), _largest(amount)),
    ("sampling FLOPs/{one}", _field("sample_flops_per_item"), _largest(amount)),
)
