"""Trackio: one run per cell, grouped by benchmark, in Trackio's own database on this machine."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench import Held, ObservedBenchmark, ObservedCell, ObservedEnd, ObservedPoint, Observer, hookimpl
from genbench_observers.libraries import require
from genbench_observers.pages import failure_page, numbers_page

__all__ = ["Trackio", "build_observer"]

STATUS = "genbench/status"  # in the configuration of a run that has ended


@hookimpl
def build_observer(options: dict[str, Any]) -> Observer:
    require("trackio")
    return Trackio(**options)


class Trackio(Observer):
    """Writes to the database of a project, in the folder set by `TRACKIO_DIR`; `trackio show` displays it.

    It uses Trackio's own storage instead of `trackio.init` and `log`, which hand over to a thread and report no errors:
    here each message is one transaction, so a point is complete or absent, and a full disk is an error.

    Args:
        project: of the runs.
        samples: whether pictures and sounds are copied into it.
    """

    def __init__(self, project: str = "genbench", samples: bool = True) -> None:
        self._project = project
        self._samples = samples
        self._group = ""
        self._steps: dict[str, int] = {}  # of the last point of each open cell; -1 if there is none

    def begin(self, benchmark: ObservedBenchmark) -> None:
        from trackio.sqlite_storage import SQLiteStorage

        self._storage = SQLiteStorage
        self._group = f"{benchmark.name}-{benchmark.id}"
        self._storage.init_db(self._project)

    def begin_cell(self, cell: ObservedCell) -> Held:
        step = self._storage.get_max_step_for_run(self._project, run_id=cell.key)
        config = self._storage.get_run_config(self._project, run_id=cell.key) or {}
        self._steps[cell.key] = -1 if step is None else step
        return Held(self._steps[cell.key], config.get(STATUS) in ("finished", "not applicable"))

    def points(self, cell: ObservedCell, points: Sequence[ObservedPoint]) -> None:
        rows = [
            {
                **{f"losses/{name}": value for name, value in point.losses.items()},
                **{f"quality/{name}": value for name, value in point.numbers.items()},
                "progress/training_s": point.elapsed_s,
                "progress/items": point.items,
            }
            for point in points
        ]
        self._log(cell, rows, [point.step for point in points])
        self._steps[cell.key] = points[-1].step

    def end_cell(self, cell: ObservedCell, end: ObservedEnd) -> None:
        groups = {"final": end.numbers, "standard_error": end.standard_errors, "cost": end.costs}
        row: dict[str, Any] = {
            f"{group}/{name}": each for group, values in groups.items() for name, each in values.items()
        }
        for what, path in end.files.items() if self._samples else ():
            if (kept := self._kept(cell, path, end.step)) is not None:
                row[f"samples/{what}"] = kept
        row["progress/finished"] = int(end.status == "finished")  # a row must not be empty
        told = {"genbench/numbers": numbers_page(end), "genbench/failure": failure_page(end), STATUS: end.status}
        # A failed cell may resume, and a row at a step beyond its curve would count as a point of the curve.
        step = max(end.step, self._steps.pop(cell.key))
        self._log(cell, [row], [step], {name: text for name, text in told.items() if text})

    def _log(
        self,
        cell: ObservedCell,
        rows: Sequence[Mapping[str, Any]],
        steps: Sequence[int],
        more: Mapping[str, Any] | None = None,
    ) -> None:
        config = {**cell.configuration, **(more or {}), "_Group": self._group, "_Username": None, "_Created": _now()}
        self._storage.bulk_log(self._project, cell.name, list(rows), list(steps), config=config, run_id=cell.key)

    def _kept(self, cell: ObservedCell, path: Path, step: int) -> Any:
        """Copy a file into the project and return its entry in a row; None for kinds that Trackio does not display."""
        import trackio

        kinds = {".png": trackio.Image, ".wav": trackio.Audio}
        if path.suffix not in kinds:
            return None
        media = kinds[path.suffix](str(path))
        media._save(self._project, cell.name, step)
        return media._to_dict()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()
