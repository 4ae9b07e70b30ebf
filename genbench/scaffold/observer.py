"""Writes the curve of each cell as rows of a CSV file: step, name, value."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench import (
    Held,
    ObservedBenchmark,
    ObservedCell,
    ObservedEnd,
    ObservedPoint,
    Observer,
    hookimpl,
)


class Curves(Observer):
    """One file per cell, in one folder per benchmark.

    Args:
        dir: where the folders are created.
    """

    def __init__(self, dir: str = "curves") -> None:
        self.folder = Path(dir).absolute()

    def begin(self, benchmark: ObservedBenchmark) -> None:
        self.folder = self.folder / f"{benchmark.name}-{benchmark.id}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def begin_cell(self, cell: ObservedCell) -> Held:
        path = self.folder / f"{cell.name}.csv"
        lines = path.read_text().splitlines() if path.exists() else []
        rows = list(csv.reader(lines))
        steps = [int(row[0]) for row in rows if len(row) == 3 and row[1] == "items"]
        ends = {row[2] for row in rows if len(row) == 3 and row[1] == "end"}
        return Held(max(steps, default=-1), bool(ends - {"failed"}))

    def points(self, cell: ObservedCell, points: Sequence[ObservedPoint]) -> None:
        for point in points:
            numbers = {**point.losses, **point.numbers, "items": point.items}
            self.write(cell, point.step, numbers)

    def end_cell(self, cell: ObservedCell, end: ObservedEnd) -> None:
        self.write(cell, end.step, {**end.numbers, "end": end.status})

    def write(self, cell: ObservedCell, step: int, values: Mapping[str, Any]) -> None:
        with (self.folder / f"{cell.name}.csv").open("a", newline="") as file:
            csv.writer(file).writerows((step, *each) for each in values.items())


@hookimpl
def build_observer(options: dict[str, Any]) -> Observer:
    return Curves(**options)
