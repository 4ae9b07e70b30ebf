"""Merges the records of a cell that was measured several times, as with all metrics and then with `--metrics fd`."""

from __future__ import annotations

import functools
import marshal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.records.lean import per_template, seed_of
from genbench.records.record import cell_id

__all__ = ["Cells", "Outcomes", "by_recipe", "merged", "outcomes", "with_older"]

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Outcomes:
    """The number of `cells`; of those that `failed` and have no finished record; of those that failed in one run and
    finished in another (`failed_once`); and of those that finished in several runs (`repeated`)."""

    cells: int
    failed: int
    failed_once: int
    repeated: int


class Cells(list[Record]):
    """Records in which no finished cell appears twice."""


def merged(records: Iterable[Record]) -> Cells:
    """Return the records, with those of one finished cell merged, in the order in which the cells first appear.

    A merged record is the newest one plus every number that only older ones have: nothing is averaged, and costs,
    pictures and losses are those of the newest run. If one number has several recipes, the record has the newest, and
    the others are kept under `older`: a list of records that hold only these numbers (`with_older`). A failed record is
    left unchanged, so it neither hides numbers of an earlier run nor is hidden by one.
    """
    if isinstance(records, Cells):
        return records
    cells: dict[tuple[Any, ...], list[Record]] = {}
    cell_of = _cells()
    for place, record in enumerate(records):
        key = cell_of(record) if record["status"] == "finished" else (str(place),)
        cells.setdefault(key, []).append(record)
    return Cells(same[0] if len(same) == 1 else _merge(same) for same in cells.values())


def with_older(record: Record) -> Sequence[Record]:
    """Return a record, followed by those of the same cell with numbers under recipes that it does not have."""
    return (record, *record.get("older", ()))


def outcomes(records: Iterable[Record]) -> Outcomes:
    """Count the cells of unmerged records by outcome; cells that are not applicable never started and do not count."""
    finished: Counter[tuple[Any, ...]] = Counter()
    failed: Counter[tuple[Any, ...]] = Counter()
    cell_of = _cells()
    for record in records:
        if record["status"] == "not applicable":
            continue
        (finished if record["status"] == "finished" else failed)[cell_of(record)] += 1
    return Outcomes(
        len(finished.keys() | failed.keys()),
        len(failed.keys() - finished.keys()),
        len(failed.keys() & finished.keys()),
        sum(count > 1 for count in finished.values()),
    )


def _cells() -> Callable[[Record], tuple[str, str, str, str, int]]:
    """Return a function that returns what two measurements of one cell have in common, whatever metrics each requested.

    A plugin's files that its identity does not cover must have been the same, since numbers of two versions do not mix.
    The seed is kept separate, so that a cell's identity is computed once for all seeds.
    """
    apart = per_template(_apart_from_seed)
    return lambda record: (*apart(record), seed_of(record))


def _apart_from_seed(record: Record) -> tuple[str, str, str, str]:
    cell = record["cell"]
    alike = {**cell, "metrics": None, "seed": 0}
    also_read = (cell.get("plugin") or {}).get("also_read") or {}
    known = repr(sorted(also_read.items()))
    return cell["label"], cell["dataset"]["name"], _identified(marshal.dumps(alike, 2)), known


@functools.lru_cache(maxsize=2**14)
def _identified(cell: bytes) -> str:
    return cell_id(marshal.loads(cell))


def _merge(same: Sequence[Record]) -> Record:
    newest, *others = sorted(same, key=lambda record: (str(record.get("finished_at")), record["id"]), reverse=True)
    numbers, recipes, curve = dict(newest["numbers"]), dict(newest["recipes"]), list(newest["curve"])
    taken = {(name, number["recipe"]) for name, number in numbers.items()}
    artifacts, older = dict(newest.get("artifacts") or {}), []
    for record in others:
        left = {name: one for name, one in record["numbers"].items() if (name, one["recipe"]) not in taken}
        taken |= {(name, number["recipe"]) for name, number in left.items()}
        missing = {name: number for name, number in left.items() if name not in numbers}
        numbers |= missing
        recipes |= record["recipes"]
        artifacts = {**(record.get("artifacts") or {}), **artifacts}
        curve = _with_numbers(curve, record["curve"], missing)
        if apart := {name: number for name, number in left.items() if name not in missing}:
            nothing: dict[str, Any] = {"cost": {}, "curve": [], "artifacts": {}, "environment": {}}
            older.append({**record, **nothing, "numbers": apart})
    whole = {"numbers": numbers, "recipes": recipes, "curve": curve, "artifacts": artifacts, "older": older}
    return {**newest, **whole}


def _with_numbers(
    curve: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], names: Iterable[str]
) -> list[Mapping[str, Any]]:
    """Return a curve with these numbers added from another training run of the same cell."""
    points = {point.get("step"): point for point in curve}
    wanted = set(names)
    for point in other:
        found = {name: value for name, value in (point.get("numbers") or {}).items() if name in wanted}
        if found:
            step = point.get("step")
            there = points.get(step, {**point, "losses": {}, "numbers": {}})
            points[step] = {**there, "numbers": {**(there.get("numbers") or {}), **found}}
    return [points[step] for step in sorted(points, key=lambda step: step or 0)]


def by_recipe(record: Record, metric: str) -> Iterator[Record]:
    """Yield a record for each recipe of one of its numbers, newest first; everything else is repeated in each."""
    older = record.get("older", ())
    if not older:
        yield record
        return
    rest = [{**one, "numbers": {name: n for name, n in one["numbers"].items() if name != metric}} for one in older]
    yield {**record, "older": rest}
    for one in older:
        if metric in one["numbers"]:
            yield {**record, "numbers": {**record["numbers"], metric: one["numbers"][metric]}, "older": rest}
