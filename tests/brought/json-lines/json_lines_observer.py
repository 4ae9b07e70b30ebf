"""Writes one file of JSON lines per cell: its configuration, each point of its curve, and its end."""

import json
from pathlib import Path

from genbench import Held, Observer, hookimpl


class JsonLines(Observer):
    """One file per cell, in one folder per benchmark.

    Args:
        dir: where the folders are created.
    """

    def __init__(self, dir: str = "lines") -> None:
        self.folder = Path(dir).absolute()

    def begin(self, benchmark):
        self.folder = self.folder / f"{benchmark.name}-{benchmark.id}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def begin_cell(self, cell):
        try:
            lines = [json.loads(line) for line in self._path(cell).read_text().splitlines()]
        except FileNotFoundError:
            self._write(cell, {"cell": dict(cell.configuration)})
            return Held()
        steps = [line["step"] for line in lines if "step" in line]
        return Held(max(steps, default=-1), any(line.get("end", "failed") != "failed" for line in lines))

    def points(self, cell, points):
        self._write(cell, *({"step": each.step, **each.losses, **each.numbers} for each in points))

    def end_cell(self, cell, end):
        self._write(cell, {"end": end.status, **end.numbers, "failure": dict(end.failure)})

    def _path(self, cell):
        return self.folder / f"{cell.name}.jsonl"

    def _write(self, cell, *lines):
        with self._path(cell).open("a") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))


@hookimpl
def build_observer(options):
    return JsonLines(**options)
