"""One cell measured several times, as `--metrics fd` after a run of all metrics leaves it: its records as one."""

from __future__ import annotations

import functools
import marshal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.records.record import cell_id

__all__ = ["Cells", "Outcomes", "by_recipe", "merged", "outcomes", "with_older"]

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Outcomes:
    """How many `cells` there are; those that `failed` and have no finished record; those of which a run failed and
    another finished (`failed_once`); and those that several runs finished (`repeated`)."""

    cells: int
    failed: int
    failed_once: int
    repeated: int


class Cells(list[Record]):
    """Records of which no two are of one finished cell."""


def merged(records: Iterable[Record]) -> Cells:
    """Return the records, those of one finished cell as one, in the order in which each cell first comes.

    It is the newest record, with every number that only older ones have: nothing is averaged, and costs, pictures and
    losses are the newest run's. Where one number has several recipes, the newest is the record's, and the others are
    kept under `older`: a list of records that have these numbers alone (`with_older`). A failed record is left as it
    is, and so hides no number of an earlier run, nor is it hidden by one.
    """
    if isinstance(records, Cells):
        return records
    cells: dict[tuple[Any, ...], list[Record]] = {}
    for place, record in enumerate(records):
        key = _cell(record) if record["status"] == "finished" else (str(place),)
        cells.setdefault(key, []).append(record)
    return Cells(same[0] if len(same) == 1 else _merge(same) for same in cells.values())


def with_older(record: Record) -> Sequence[Record]:
    """Return a record, and those of the same cell that hold numbers of recipes that it does not have."""
    return (record, *record.get("older", ()))


def outcomes(records: Iterable[Record]) -> Outcomes:
    """Count the cells of records that are not merged, and how they ended; those that are not applicable never began."""
    finished: Counter[tuple[Any, ...]] = Counter()
    failed: Counter[tuple[Any, ...]] = Counter()
    for record in records:
        if record["status"] == "not applicable":
            continue
        (finished if record["status"] == "finished" else failed)[_cell(record)] += 1
    return Outcomes(
        len(finished.keys() | failed.keys()),
        len(failed.keys() - finished.keys()),
        len(failed.keys() & finished.keys()),
        sum(count > 1 for count in finished.values()),
    )


def _cell(record: Record) -> tuple[str, str, int, str]:
    """Return what is equal for two measurements of one cell, whatever metrics each was asked for."""
    cell = record["cell"]
    # The seed stands apart, so that the cells of all seeds are identified once.
    alike = {**cell, "metrics": None, "seed": 0}
    return cell["label"], cell["dataset"]["name"], cell["seed"], _identified(marshal.dumps(alike, 2))


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
    """Return a curve with the numbers of these names that another training of the same cell has on its own."""
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
    """Give a record for each recipe of one of its numbers, the newest first; all else of it is in each of them."""
    older = record.get("older", ())
    rest = [{**one, "numbers": {name: n for name, n in one["numbers"].items() if name != metric}} for one in older]
    yield {**record, "older": rest} if rest else record
    for one in older:
        if metric in one["numbers"]:
            yield {**record, "numbers": {**record["numbers"], metric: one["numbers"][metric]}, "older": rest}
