"""MLflow: one run per cell, one experiment per benchmark, on a tracking server, in a database or in a folder."""

from __future__ import annotations

import contextlib
import logging
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench import Held, ObservedBenchmark, ObservedCell, ObservedEnd, ObservedPoint, Observer, hookimpl
from genbench_observers.libraries import require
from genbench_observers.pages import failure_page, numbers_page

__all__ = ["MLflow", "build_observer"]

TIMELINE = "progress/items"  # the last metric of each point, so it shows which points were written
CELL, BENCHMARK, STATUS = "genbench.cell", "genbench.benchmark", "genbench.status"
MOST_METRICS, MOST_PARAMETERS, LONGEST_PARAMETER = 1000, 100, 6000  # per request; the last in characters


@hookimpl
def build_observer(options: dict[str, Any]) -> Observer:
    require("mlflow")
    return MLflow(**options)


def _beside(uri: str) -> str | None:
    """Return where the files of a database's experiments go; MLflow would put them into the working directory."""
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    return None if path in (uri, "", ":memory:") else (Path(path).absolute().parent / "mlartifacts").as_uri()


@dataclass
class _Run:
    """One cell's run, and the last step of each metric that it had when it was opened."""

    id: str
    steps: dict[str, int] = field(default_factory=dict)


class MLflow(Observer):
    """Logs to the tracking server or store that MLflow is configured to use, or to a given one.

    Args:
        uri: such as `http://127.0.0.1:5000`, `sqlite:///mlflow.db` or a folder; empty takes `MLFLOW_TRACKING_URI`, or
            MLflow's own default.
        experiment: its name; empty takes the benchmark's.
        samples: whether pictures, sounds and texts are logged as artifacts.
    """

    def __init__(self, uri: str = "", experiment: str = "", samples: bool = True) -> None:
        self._uri = uri
        self._name = experiment
        self._samples = samples
        self._runs: dict[str, _Run] = {}

    def begin(self, benchmark: ObservedBenchmark) -> None:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        for name in ("mlflow", "alembic"):  # they log every table that they create
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = MlflowClient(tracking_uri=self._uri or None)
        self._benchmark = benchmark
        name = self._name or benchmark.name
        there = self._client.get_experiment_by_name(name)
        if there is None:
            with contextlib.suppress(MlflowException):  # another run of the same benchmark creates it at the same time
                self._client.create_experiment(name, artifact_location=_beside(self._uri))
            there = self._client.get_experiment_by_name(name)
        self._experiment = there.experiment_id

    def begin_cell(self, cell: ObservedCell) -> Held:
        found = self._client.search_runs([self._experiment], f"tags.`{CELL}` = '{cell.key}'", max_results=1)
        if not found:
            tags = {CELL: cell.key, BENCHMARK: self._benchmark.id, "genbench.command": self._benchmark.command}
            made = self._client.create_run(self._experiment, run_name=cell.name, tags=tags)
            self._runs[cell.key] = _Run(made.info.run_id)
            self._log_parameters(made.info.run_id, cell.configuration)
            return Held()
        there = found[0]
        if there.data.tags.get(STATUS) in ("finished", "not applicable"):
            return Held(ended=True)
        run = _Run(there.info.run_id)
        for name in there.data.metrics:
            run.steps[name] = max(each.step for each in self._client.get_metric_history(run.id, name))
        self._runs[cell.key] = run
        self._client.update_run(run.id, status="RUNNING")
        if not there.data.params:  # the process was killed between the two
            self._log_parameters(run.id, cell.configuration)
        return Held(run.steps.get(TIMELINE, -1))

    def points(self, cell: ObservedCell, points: Sequence[ObservedPoint]) -> None:
        values: list[tuple[str, float, int]] = []
        for point in points:
            values += [(f"losses/{name}", value, point.step) for name, value in point.losses.items()]
            values += [(f"quality/{name}", value, point.step) for name, value in point.numbers.items()]
            values += [("progress/training_s", point.elapsed_s, point.step), (TIMELINE, point.items, point.step)]
        self._log_metrics(self._runs[cell.key], values)

    def end_cell(self, cell: ObservedCell, end: ObservedEnd) -> None:
        run = self._runs.pop(cell.key)
        for what, path in end.files.items() if self._samples else ():
            self._client.log_artifact(run.id, str(path), _plain(what.partition(",")[0]))
        for name, text in (("numbers.md", numbers_page(end)), ("failure.md", failure_page(end))):
            if text:
                self._client.log_text(run.id, text, name)
        groups = {"final": end.numbers, "standard_error": end.standard_errors, "cost": end.costs}
        self._log_metrics(
            run,
            [(f"{group}/{name}", each, end.step) for group, values in groups.items() for name, each in values.items()],
        )
        self._client.set_tag(run.id, STATUS, end.status)
        self._client.set_terminated(run.id, "FAILED" if end.status == "failed" else "FINISHED")

    def end(self) -> None:
        for run in self._runs.values():  # they will be resumed later
            self._client.set_terminated(run.id, "KILLED")
        self._runs.clear()

    def _log_parameters(self, run_id: str, configuration: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        parameters = [Param(_plain(name), str(value)[:LONGEST_PARAMETER]) for name, value in configuration.items()]
        for some in _parts(parameters, MOST_PARAMETERS):
            self._client.log_batch(run_id, params=some)

    def _log_metrics(self, run: _Run, values: Sequence[tuple[str, float, int]]) -> None:
        """Log numbers, each with its step, that are not in the run yet.

        A store may have written a part of a request before the process was killed. Not every store takes numbers that
        are not finite.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(_plain(name), float(value), now, step)
            for name, value, step in values
            if math.isfinite(value) and step > run.steps.get(_plain(name), -1)
        ]
        for some in _parts(metrics, MOST_METRICS):
            self._client.log_batch(run.id, metrics=some)


def _plain(name: str) -> str:
    """Return a name in the form that MLflow accepts."""
    return re.sub(r"[^\w./ -]", "_", name, flags=re.ASCII)


def _parts(values: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    return (values[start : start + most] for start in range(0, len(values), most))
