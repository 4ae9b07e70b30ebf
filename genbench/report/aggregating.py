"""Writes `aggregate.md` for the records of several folders, with its figures and tables."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from genbench.errors import InputError
from genbench.machine.atomic import write_bytes, write_text
from genbench.machine.privacy import without_paths
from genbench.records.plans import missing_cells
from genbench.report.across import DISTANCES, Across, Place, across
from genbench.report.across_figures import draw_across
from genbench.report.across_page import across_parts, conflict
from genbench.report.across_tables import state
from genbench.report.drawing import styles
from genbench.report.escape import fence
from genbench.report.figure_files import FigureFiles
from genbench.report.frame import csv
from genbench.report.merging import merged
from genbench.report.model import markdown
from genbench.report.opening import title
from genbench.report.order import Record, in_order
from genbench.report.quantities import declare, in_reading_order, quantity
from genbench.report.sections import sections
from genbench.report.standings import Standing, in_standing_order, standings
from genbench.report.stored import stored_records

__all__ = ["Aggregate", "aggregate_directories", "write_aggregate"]


@dataclass(frozen=True)
class Aggregate:
    """The results for a set of folders: one `Across` per budget with its standings (empty if it has a fault)."""

    records: Sequence[Record]
    found: Sequence[Across]
    standings: Sequence[Sequence[Standing]]
    unfinished: int
    command: str
    seed: int


def aggregate_directories(directories: Sequence[Path], metric: str | None = None, seed: int = 0) -> Aggregate:
    """Aggregate the records of these folders.

    Args:
        directories: as written by `genbench run`.
        metric: a number with a direction; by default each dataset's `fid` or `fd`.
        seed: of the bootstrap's draws.

    Raises:
        InputError: a folder does not exist or holds no records; no record has the number, or it has no direction; one
            dataset was measured under several recipes; fewer than two datasets or models have scores.
    """
    read = [[record.data for record in stored_records(directory)] for directory in directories]
    unfinished = sum(len(missing_cells(*pair)) for pair in zip(directories, read, strict=True))
    records = in_order(record for part in read for record in part)
    declare(recipe for record in records for recipe in record["recipes"].values())
    _check_number(records, metric)
    every = across(sections(in_order(merged(records)), metric), metric)
    for found in every:
        if fault := conflict(found):
            raise InputError(f"{fault}; aggregate folders with a single recipe")
    if all(found.fault for found in every):
        wanted = metric or " or ".join([", ".join(DISTANCES[:-1]), DISTANCES[-1]])
        reasons = "; ".join(f"for {found.budget}, {found.fault}" for found in every)
        raise InputError(f"nothing can be aggregated by {wanted}: {reasons or 'no dataset has it'}")
    words = ["genbench", "aggregate", *(without_paths(str(directory)) for directory in directories)]
    words += ["--metric", metric] if metric else []
    words += ["--seed", str(seed)] if seed else []
    made = [[] if found.fault else standings(found, seed) for found in every]
    return Aggregate(records, every, made, unfinished, shlex.join(words), seed)


def write_aggregate(aggregate: Aggregate, out: Path) -> Path:
    """Write `aggregate.md`, `aggregate.csv`, `scores.csv` and `figures/aggregate*.png`; return the page's path."""
    colours = styles(one.model for made in aggregate.standings for one in made)
    colours |= styles([*colours, *(model for found in aggregate.found for model in found.outcomes)])
    parts = [f"# Aggregate: {title(aggregate.records)}"]
    if aggregate.unfinished:
        parts.append(f"**{aggregate.unfinished} planned cells have no record yet**, so these results are partial.")
    figures = FigureFiles(out)
    for found, made in zip(aggregate.found, aggregate.standings, strict=True):
        pictures = draw_across(figures, found, made, colours)
        parts += [f"## Across {len(found.places)} datasets", *across_parts(found, made, pictures, aggregate.seed)]
    parts += ["## How to reproduce", fence(aggregate.command, "sh"), _FILES]
    with figures.drawn():
        write_bytes(out / "aggregate.csv", csv(_summary(aggregate)))
        write_bytes(out / "scores.csv", csv(_scores(aggregate)))
    write_text(out / "aggregate.md", markdown(parts) + "\n")
    return out / "aggregate.md"


_FILES = (
    "## Files\n\n"
    "- [`aggregate.csv`](aggregate.csv): one row per model: interquartile mean and mean with their intervals.\n"
    "- [`scores.csv`](scores.csv): one row per model, dataset and seed: the number, its score and its scale;\n"
    "  a row without a seed gives the reason why a model has no number on a dataset.\n"
    "- `figures/`: the images of this page."
)


def _check_number(records: Sequence[Record], metric: str | None) -> None:
    if metric is None:
        return
    known = in_reading_order({name for record in records for name in record["numbers"]})
    if metric not in known:
        able = ", ".join(name for name in known if quantity(name).direction)
        raise InputError(f"no record has the number {metric!r}; those with a direction are {able or 'none'}")
    if quantity(metric).direction is None:
        raise InputError(f"{metric} has no direction: neither lower nor higher is better, so it has no score")


def _summary(aggregate: Aggregate) -> pd.DataFrame:
    rows = [
        {
            "budget": found.budget,
            "model": one.model,
            "interquartile_mean": one.middle.value,
            "interquartile_mean_half_width": one.middle.half_width,
            "mean": one.mean.value,
            "mean_half_width": one.mean.half_width,
            "datasets": len(found.shared[1]),
            "runs": one.runs,
        }
        for found, made in zip(aggregate.found, aggregate.standings, strict=True)
        for one in made
    ]
    return pd.DataFrame(rows)


def _scores(aggregate: Aggregate) -> pd.DataFrame:
    rows = [
        row
        for found, made in zip(aggregate.found, aggregate.standings, strict=True)
        for model in in_standing_order(found, made)
        for place in found.places
        for row in _of_cell(found, model, place)
    ]
    return pd.DataFrame(rows).astype({"seed": "Int64", "value": "float64", "score": "float64"})


def _of_cell(found: Across, model: str, place: Place) -> Iterator[dict[str, Any]]:
    outcome, anchors = found.outcomes[model].get(place.name), place.anchors
    where = {"budget": found.budget, "model": model, "dataset": place.name, "number": place.number}
    ends = {"at_0": anchors.zero if anchors else None, "at_1": anchors.one if anchors else None}
    if outcome is None or not outcome.values:
        yield where | {"seed": None, "value": None, "score": None} | ends | {"state": state(outcome)}
        return
    for seed, value in outcome.values.items():
        yield where | {"seed": seed, "value": value, "score": outcome.scores.get(seed)} | ends | {"state": "measured"}
