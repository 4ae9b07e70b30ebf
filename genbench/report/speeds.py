"""Throughput, and quality against cost: what their charts show, for figures and for HTML."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from genbench.records.lean import seed_of
from genbench.records.statistics import summarise
from genbench.report.chart import Chart, Extent, Mark, Panel
from genbench.report.curves import main_values
from genbench.report.drawing import scale
from genbench.report.machines import Machine
from genbench.report.rows import Row, measured
from genbench.report.sections import Section

__all__ = ["MOST_BARS", "throughput", "trade_off"]

MOST_BARS = 24
_RATES = (("train_items_per_s", "training"), ("sample_items_per_s", "sampling"))
_WINDOWS = "5th to 95th percentile of the windows"

Cost = Mapping[str, Any]


def throughput(section: Section, known: Sequence[Machine]) -> Chart | None:
    """Return items/s of training and sampling as bars, one per model and machine, or None if none was recorded.

    A bar is the mean over seeds of the median window; its interval spans the mean 5th to the mean 95th percentile.
    """
    bars = _bars(section, known)
    panels = []
    for name, label in _RATES:
        marks: dict[str, list[Mark]] = {row.name: [] for row, _, _ in bars}
        for place, (row, _, costs) in enumerate(bars):
            if windows := [(seed, cost[name]) for seed, cost in costs if cost.get(name)]:
                marks[row.name].append(_rate(windows, place))
        rows = [f"{row.name}{machine}" for row, machine, _ in bars]
        panels.append(Panel("bars", f"{label} {section.noun}/s", "", marks, rows, interval=_WINDOWS))
    recorded = any(mark for panel in panels for mark in panel.marks.values())
    return Chart(panels, MOST_BARS) if recorded else None


def trade_off(section: Section, known: Sequence[Machine]) -> Chart | None:
    """Return the main metric against training seconds and against sampled items/s, or None if there is too little data.

    A cost is its geometric mean over seeds, with the interval of its logarithm: an arithmetic interval can reach below
    zero, and a logarithmic axis would draw it to the edge. It needs two models measured on one machine.
    """
    if not section.main or not section.quantity or len(known) != 1:
        return None
    logarithmic = scale(main_values(section)) == "log"  # as in the plots over training, whatever is visible here
    panels = []
    for label, read in (
        ("training seconds ←", lambda cost: cost.get("train_s")),
        (f"sampling {section.noun}/s →", lambda cost: (cost.get("sample_items_per_s") or {}).get("median")),
    ):
        marks = {row.name: [mark] for row in section.models if row.records and (mark := _priced(section, row, read))}
        across = [marks[row.name][0].x.value for row in section.models[:MOST_BARS] if row.name in marks]
        if len(across) < 2:
            return None
        panels.append(
            Panel(
                *("points", label, section.quantity.axis, marks),
                levels=_floor(section),
                log_x=scale(across, factor=8.0) == "log",
                log_y=logarithmic,
            )
        )
    return Chart(panels, MOST_BARS)


def _bars(section: Section, known: Sequence[Machine]) -> list[tuple[Row, str, list[tuple[int, Cost]]]]:
    found = []
    for machine in known:
        for row in section.models:
            here = [record for record in row.records if record["id"] in machine.record_ids]
            if here:
                costs = [(seed_of(record), _rates(record["cost"])) for record in here]
                found.append((row, f" ({machine.letter})" if len(known) > 1 else "", costs))
    return found


def _rates(cost: Cost) -> Cost:
    return {name: cost.get(name) for name, _ in _RATES}


def _rate(windows: Sequence[tuple[int, Mapping[str, Any]]], place: int) -> Mark:
    low, middle, high = (summarise(window.get(part) for _, window in windows).mean for part in ("p5", "median", "p95"))
    low, high = (middle if math.isnan(end) else end for end in (low, high))
    seeds = [(seed, measured(window.get("median")), None) for seed, window in windows]
    return Mark(Extent(middle, min(low, middle), max(high, middle)), place, seeds)


def _priced(section: Section, row: Row, read: Callable[[Cost], float | None]) -> Mark | None:
    """Return what a model costs and how good it is; None if either was not recorded."""
    assert section.main
    cost, quality = _geometric(row, read), row.summary(section.main)
    if cost is None or not quality.n:
        return None
    values = row.values(section.main)
    seeds = [
        (seed_of(record), measured(read(record["cost"])), values.get(seed_of(record), math.nan))
        for record in row.records
    ]
    return Mark(cost, Extent.of(quality), seeds)


def _geometric(row: Row, read: Callable[[Cost], float | None]) -> Extent | None:
    logs = row.cost(lambda cost: math.log(value) if (value := read(cost)) is not None and value > 0 else None)
    if not logs.n:
        return None
    if logs.half_width is None:
        return Extent(math.exp(logs.mean))
    low, high = (math.exp(logs.mean + side * logs.half_width) for side in (-1, 1))
    return Extent(math.exp(logs.mean), low, high)


def _floor(section: Section) -> list[tuple[str, float]]:
    levels = [
        ("real", row.summary(section.main).mean if section.main else math.nan)
        for row in section.controls
        if row.cell["model"] == "real"
    ]
    return [(name, level) for name, level in levels if math.isfinite(level)]
