"""Writes the curve of each cell as rows of a CSV file: step, name, value."""

import csv
from collections.abc import Sequence
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
    """One file a cell, in a folder a benchmark.

    Args:
        dir: where the folders are made.
    """

    def __init__(self, dir: str = "curves") -> None:
        self.folder = Path(dir).absolute()

    def begin(self, benchmark: ObservedBenchmark) -> None:
        self.folder = self.folder / f"{benchmark.name}-{benchmark.id}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def begin_cell(self, cell: ObservedCell) -> Held:
        path = self.folder / f"{cell.name}.csv"
        rows = list(csv.reader(path.open())) if path.exists() else []
        steps = [int(row[0]) for row in rows if len(row) == 3 and row[1] == "items"]
        ended = any(
            row[1:] in (["end", "finished"], ["end", "not applicable"]) for row in rows
        )
        return Held(max(steps, default=-1), ended)

    def points(self, cell: ObservedCell, points: Sequence[ObservedPoint]) -> None:
        for point in points:
            numbers = {**point.losses, **point.numbers, "items": point.items}
            self.write(
                cell, [(point.step, name, value) for name, value in numbers.items()]
            )

    def end_cell(self, cell: ObservedCell, end: ObservedEnd) -> None:
        rows: list[tuple[int, str, Any]] = [
            (end.step, *number) for number in end.numbers.items()
        ]
        self.write(cell, [*rows, (end.step, "end", end.status)])

    def write(self, cell: ObservedCell, rows: Sequence[tuple[int, str, Any]]) -> None:
        with (self.folder / f"{cell.name}.csv").open("a", newline="") as file:
            csv.writer(file).writerows(rows)


@hookimpl
def build_observer(options: dict[str, Any]) -> Observer:
    return Curves(**options)
