"""How stable training was: lasting deterioration, differences between seeds, lost modes and classes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from genbench.records.turning import LEAST_POINTS, Turn, turn
from genbench.report.escape import code, text
from genbench.report.formatting import NOTHING, plain
from genbench.report.order import Record
from genbench.report.quantities import Quantity, main_metric, quantity
from genbench.report.rows import Row, measured
from genbench.report.sections import Section
from genbench.report.series import names_in, of_curves
from genbench.report.tables import markdown_table

__all__ = ["stability"]

_LEAST_LOSS = 1 / 4  # of a mode or class, taken as the noise: one can be missed by chance, so two must be lost
_MODES, _CLASSES = "modes_covered", "class_coverage"


@dataclass(frozen=True)
class _Curve:
    """One number over the training of one seed, the steps at which it was measured, and where it deteriorated."""

    steps: list[float]
    values: list[float]
    turned: Turn | None


def stability(section: Section) -> list[str]:
    """Return the parts of the page on how stable the models of a section were; empty if the curves are too short."""
    known = _followed(section)
    if known is None:
        return []
    read = [(row, _curves(section, row, known)) for row in section.models]
    rows = [(row, curves) for row, curves in read if curves[known.name]]
    if not rows:
        return []
    counts = [name for name in (_MODES, _CLASSES) if any(curves[name] for _, curves in rows)]
    turned = "deteriorated for good"
    header = ["model", f"best {text(known.axis)} of the curve", "last", turned]
    header += ["spread over seeds", "worst seed"] if section.is_repeated else []
    header += [f"{text(quantity(name).heading)}, most → last" for name in counts]
    lines = [
        [
            code(row.name),
            *_ends(known, curves[known.name]),
            _when(curves[known.name]),
            *(_spread(section, row) if section.is_repeated else ()),
            *(_most_and_last(curves[name]) for name in counts),
        ]
        for row, curves in rows
    ]
    said = [_turned(row, known, curves[known.name]) for row, curves in rows]
    said += [_lost(row, name, curves[name]) for row, curves in rows for name in counts]
    named = "\n".join(f"- {sentence}" for sentence in said if sentence)
    table = markdown_table(header, lines, words=(turned,), section=section)
    return ["### Stability", table, named or "No curve deteriorated for good.", _note(section, known)]


def _followed(section: Section) -> Quantity | None:
    """Return the main metric if it has a curve, otherwise the first number with a direction that has one."""
    names: set[str] = set()
    for row in section.models:
        for record in row.records:
            names.update(names_in(record["curve"], "numbers"))
            if section.main and section.main[0] in names:
                return section.quantity if section.quantity and section.quantity.direction else None
    found = main_metric(names)
    return quantity(found) if found else None


def _curves(section: Section, row: Row, known: Quantity) -> dict[str, list[_Curve]]:
    """Return the curves of a row that have enough points."""
    noises = {_MODES: _LEAST_LOSS, _CLASSES: _LEAST_LOSS / max(1, section.dataset.get("classes") or 1)}
    curves = [record["curve"] for record in row.records]
    found: dict[str, list[_Curve]] = {}
    for name in (known.name, *noises):
        direction = quantity(name).direction or "higher"
        held: dict[int, _Curve] = {}
        for places, points in of_curves(curves, "step", "numbers", name):
            for place, whole in zip(places, points.tolist(), strict=True):
                finite = [(step, value) for step, value in whole if math.isfinite(value)]
                if len(finite) >= LEAST_POINTS:
                    steps, values = ([*column] for column in zip(*finite, strict=True))
                    noise = noises.get(name)
                    noise = _error(row.records[place], name) if noise is None else noise
                    held[place] = _Curve(steps, values, turn(values, direction, noise))
        found[name] = [held[place] for place in sorted(held)]
    return found


def _error(record: Record, name: str) -> float:
    return measured(record["numbers"].get(name, {}).get("standard_error"))


def _ends(known: Quantity, curves: Sequence[_Curve]) -> list[str]:
    best = min if known.direction == "lower" else max
    return [
        plain(statistics.fmean(best(curve.values) for curve in curves)),
        plain(statistics.fmean(curve.values[-1] for curve in curves)),
    ]


def _when(curves: Sequence[_Curve]) -> str:
    turned = [curve for curve in curves if curve.turned]
    return f"**step {_since(turned)}**{_seeds(turned, curves)}" if turned else "no"


def _spread(section: Section, row: Row) -> list[str]:
    """Return the coefficient of variation of the main number over seeds, and the worst seed."""
    final = {
        seed: value for seed, value in (row.values(section.main) if section.main else {}).items() if value == value
    }
    direction = section.quantity.direction if section.quantity else None
    if len(final) < 2 or direction is None:
        return [NOTHING, NOTHING]
    mean = statistics.fmean(final.values())
    share = f"{plain(float(f'{100 * statistics.stdev(final.values()) / abs(mean):.2g}'))}%" if mean else NOTHING
    seed = (max if direction == "lower" else min)(final, key=final.__getitem__)
    return [share, f"{plain(final[seed])} (seed {seed})"]


def _most_and_last(curves: Sequence[_Curve]) -> str:
    if not curves:
        return NOTHING
    most = statistics.fmean(max(curve.values) for curve in curves)
    last = statistics.fmean(curve.values[-1] for curve in curves)
    return f"{plain(most)} → {plain(last)}"


def _seeds(turned: Sequence[_Curve], curves: Sequence[_Curve]) -> str:
    return f" in {len(turned)} of {len(curves)} seeds" if len(curves) > 1 else ""


def _turned(row: Row, known: Quantity, curves: Sequence[_Curve]) -> str:
    turned = [curve for curve in curves if curve.turned]
    if not turned:
        return ""
    best, last = _ends(known, turned)
    return (
        f"{code(row.name)} deteriorated for good{_seeds(turned, curves)}: from step {_since(turned)} on, its "
        f"{text(known.heading)} never returned to its best, {best}, and ended at {last}."
    )


def _lost(row: Row, name: str, curves: Sequence[_Curve]) -> str:
    lost = [curve for curve in curves if curve.turned]
    if not lost:
        return ""
    what = "modes" if name == _MODES else "classes"
    return (
        f"{code(row.name)} lost {what}{_seeds(lost, curves)}: {text(quantity(name).heading)} {_most_and_last(lost)}, "
        f"for good from step {_since(lost)} on."
    )


def _since(curves: Sequence[_Curve]) -> str:
    """Return the median step at which the deteriorated curves turned."""
    return plain(statistics.median_low([curve.steps[curve.turned.since] for curve in curves if curve.turned]))


def _note(section: Section, known: Quantity) -> str:
    several, spread = "", ""
    if section.is_repeated:
        several = "; best, last and counts are means over seeds"
        spread = " The spread is the standard deviation over seeds divided by the mean."
    return (
        f"From curves of {LEAST_POINTS} points or more{several}. *For good* means from a point after which all "
        "values, at least two, are worse than the best by far more than the curve's own noise and the error of one "
        "evaluation. At most 4 in 100 curves that merely fluctuate are flagged; a short curve must be far worse. "
        f"The best {text(known.heading)} of a curve is shown but never used for ranking: a budget ends where it ends, "
        f"and selecting a point by the number that is reported biases that number.{spread}"
    )
