"""Distances relative to that of held-out data, which makes datasets comparable and reveals copying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genbench.records.intervals import Mean
from genbench.records.real_ratio import REAL_ABOVE_ZERO, RealRatio, of_real, real_mean
from genbench.records.statistics import summarise
from genbench.report.anchoring import anchored
from genbench.report.escape import code, text
from genbench.report.formatting import NOTHING, interval, plain
from genbench.report.model import Cell
from genbench.report.quantities import quantity
from genbench.report.rows import Column, Row
from genbench.report.sections import Section
from genbench.report.tables import markdown_table

__all__ = ["anchor", "ratio_columns", "ratio_note", "ratio_table", "ratios", "real_of"]

_MARK = " †"
_COPYING = ("authenticity", "authenticity_p", "c_t", "c_t_p", "novelty", "novelty_p")


def ratio_columns(section: Section) -> list[Column]:
    """Return the distances of a section that have a ratio to `real`."""
    return [column for column in section.columns if column[0] in REAL_ABOVE_ZERO and real_of(section, column)]


def ratios(section: Section, column: Column) -> dict[str, RealRatio]:
    """Return row name -> its ratio to `real` in one distance; rows without a ratio are left out."""
    real = real_of(section, column)
    found = {row.name: of_real([*row.values(column).values()], real) for row in section.rows if not _is_real(row)}
    return {name: ratio for name, ratio in found.items() if ratio}


def ratio_table(section: Section) -> str:
    """Return each row's distances divided by those of `real`; an empty string if `real` was not measured."""
    columns = ratio_columns(section)
    found = [ratios(section, column) for column in columns]
    rows = [row for row in section.rows if any(row.name in of_column for of_column in found)]
    if not rows:
        return ""
    scores = _scores(section)
    lines = [
        [
            code(row.name) if row.is_model else f"*{text(row.name)}*",
            *([scores.get(row.name, NOTHING)] if scores else []),
            *(
                _ratio_cell(of_column.get(row.name), row, column)
                for column, of_column in zip(columns, found, strict=True)
            ),
        ]
        for row in rows
    ]
    names = [metric for metric, _ in columns]
    headings = [
        f"{text(quantity(metric).heading)} ÷ real" + (f" {code(recipe)}" if names.count(metric) > 1 else "")
        for metric, recipe in columns
    ]
    return markdown_table(["model", *(["score ↑"] if scores else []), *headings], lines, section=section)


def ratio_note(section: Section) -> str:
    """Return how to read the ratios, and which rows lie below 1, with the results of their copying tests."""
    parts = [
        f"The distance to the training {section.noun} divided by that of equally many held-out {section.noun}, which "
        "is comparable across datasets and extractors, unlike the distance itself."
        + (
            " Brackets hold the 95% interval, which covers training seeds and the evaluation error of both sides."
            if section.is_repeated
            else " One seed gives no interval."
        )
    ]
    zero, anchors, _ = anchored(section) if section.main else ("", None, "")
    if anchors and section.quantity:
        parts.append(
            f"Score: where {text(section.quantity.heading)} lies between the controls, 0 at *{text(zero)}* and 1 at "
            "*real*, on a logarithmic scale."
        )
    found = [ratios(section, column) for column in ratio_columns(section)[:1]]
    below = [
        (row, ratio)
        for row in section.rows
        for of_column in found
        if (ratio := of_column.get(row.name)) and ratio.below_real
    ]
    if below:
        said = "; ".join(f"{code(row.name)}{_copying(section, row)}" for row, _ in below)
        if any(ratio.resolved for _, ratio in below):
            weight = " before the distance."
        else:
            weight = "; the interval contains 1." if section.is_repeated else "; one seed does not resolve it."
        parts.append(
            f"**†** Closer to the training {section.noun} than new data: {said}. A model that learned the "
            "distribution approaches 1; one below it has memorised, or was trained on this extractor. Read "
            f"[the copying tests](#{anchor(section)}){weight}"
        )
    return "\n\n".join(parts)


def _scores(section: Section) -> dict[str, str]:
    """Return row name -> its score by the main number, with the interval over seeds; empty without a scale."""
    _, anchors, _ = anchored(section) if section.main else ("", None, "")
    if section.main is None or anchors is None:
        return {}
    found = {
        row.name: summarise(anchors.score(value) for value in row.values(section.main).values()) for row in section.rows
    }
    return {name: Cell(interval(score.mean, score.half_width), score.mean) for name, score in found.items() if score.n}


def anchor(section: Section) -> str:
    """Return the anchor of a section's other numbers."""
    return f"other-numbers-{section.slug}"


def real_of(section: Section, column: Column) -> Mean | None:
    """Return the mean of the control `real` in one number, if it was measured and is above 0."""
    for row in section.controls:
        if _is_real(row) and (values := row.values(column)):
            count = _count(section.recipe(column[1]).get("samples"))
            held_out = _count(section.dataset.get("held_out_count"))
            return real_mean([*values.values()], row.standard_error(column), count, held_out)
    return None


def _is_real(row: Row) -> bool:
    return not row.is_model and row.cell["model"] == "real"


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _shown(ratio: RealRatio) -> str:
    mark = _MARK if ratio.below_real else ""
    if ratio.low is None or ratio.high is None:
        return plain(ratio.ratio) + mark
    nearer = min(ratio.ratio - ratio.low, ratio.high - ratio.ratio)
    value = interval(ratio.ratio, nearer).partition(" ± ")[0]
    if ratio.high < 2 * ratio.low and "e" not in value:  # both ends are as precise as the ratio
        places = len(value.partition(".")[2])
        return f"{value} ({ratio.low:,.{places}f} to {ratio.high:,.{places}f}){mark}"
    return f"{value} ({_two_digits(ratio.low)} to {_two_digits(ratio.high)}){mark}"


def _ratio_cell(ratio: RealRatio | None, row: Row, column: Column) -> str:
    return NOTHING if ratio is None else Cell(_shown(ratio), ratio.ratio, (row.name, column))


def _two_digits(value: float) -> str:
    rounded = float(f"{value:.1e}")
    return plain(rounded) if rounded >= 100 or rounded < 1e-4 else f"{rounded:#.2g}".rstrip(".")


def _copying(section: Section, row: Row) -> str:
    """Return the results of a row's copying tests, in brackets."""
    known: Mapping[str, Column] = {column[0]: column for column in section.columns if column[0] in _COPYING}
    said: Sequence[str] = [
        f"{text(quantity(name).heading)} {plain(mean)}"
        for name in _COPYING
        if name in known and (mean := row.summary(known[name]).mean) == mean
    ]
    return f" ({', '.join(said)})" if said else ""
