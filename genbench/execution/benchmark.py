"""Runs a benchmark: checks the request, runs each cell that has no finished record, and makes failures records.

Nothing here imports torch: it is the process that shows progress.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from genbench import datasets, plugins
from genbench.config import CONTROLS, Benchmark, Cell
from genbench.errors import GenbenchError, InputError
from genbench.execution.local import ForkServer, Outcome
from genbench.identity import identity
from genbench.record import SCHEMA, Record, read_record, record_path, write_record

__all__ = ["Listener", "Planned", "run_benchmark"]

CHECK_TIMEOUT_S = 120.0  # a plugin that takes longer to import is left to its cell


class Listener(Protocol):
    """Who is told how a benchmark goes on; the command line shows it."""

    def checking(self, what: str, event: Mapping[str, Any] | None) -> None:
        """Something is being checked, and how far that is."""

    def started(self, number: int, total: int, planned: Planned) -> None:
        """A cell begins; `number` counts from 1."""

    def event(self, planned: Planned, event: Mapping[str, Any]) -> None:
        """A cell has come further: a stage, or progress within one."""

    def ended(self, number: int, total: int, planned: Planned, record: Record, kept: bool) -> None:
        """A cell has a record; `kept` where it had been finished before."""


@dataclass(frozen=True)
class Planned:
    """A cell, its identity, and what its record says of it."""

    cell: Cell
    id: str
    description: dict[str, Any]


def run_benchmark(
    benchmark: Benchmark, directory: Path, listener: Listener, command: str, timeout: float | None = None
) -> list[Record]:
    """Run every cell of the benchmark that `directory` has no finished record of; return the records of all.

    Args:
        command: what would run it again, for the report.
        timeout: seconds that a cell may take, or None.

    Raises:
        InputError: the request is at fault; nothing has been trained.
    """
    found = {model.label: plugins.find(model) for model in benchmark.models if model.name not in CONTROLS}
    for dataset in benchmark.datasets:
        datasets.is_at_hand(dataset)  # an unknown name is told before a server is started
    _check_writable(directory)
    records = []
    with ForkServer() as server:
        planned = _plan(benchmark, found, server, listener)
        for number, plan in enumerate(planned, 1):
            kept = _finished(directory, plan.id)
            if kept is None:
                listener.started(number, len(planned), plan)
            record = kept or _run_cell(server, plan, directory, listener, command, timeout)
            listener.ended(number, len(planned), plan, record, kept is not None)
            records.append(record)
    return records


def _check_writable(directory: Path) -> None:
    try:
        (directory / "records").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"output directory {directory} cannot be made: {error.strerror}; choose another with --out"
        ) from error
    if not os.access(directory / "records", os.W_OK):
        raise InputError(f"output directory {directory} is not writable; choose another with --out")


def _plan(
    benchmark: Benchmark, found: Mapping[str, plugins.Found], server: ForkServer, listener: Listener
) -> list[Planned]:
    """Check data and models in worker processes, and give each cell its identity."""
    planned = []
    provenance = {model: each.provenance().to_json() for model, each in found.items()}
    cells = benchmark.cells()
    for dataset in benchmark.datasets:
        own = [cell for cell in cells if cell.dataset == dataset]
        data = _check(server, "check_data", own[0].to_json(), dataset, listener)
        assert data is not None, "check_data gives a value or raises"
        for cell in own:
            label = cell.model.label
            if label in found and cell.seed == benchmark.seeds[0]:
                _check(server, "check_model", {"cell": cell.to_json(), "data": data}, label, listener)
        for cell in own:
            label = cell.model.label
            summary = found[label].summary() if label in found else CONTROLS[label]
            planned.append(_identify(cell, data, provenance.get(label), summary))
    return planned


def _check(
    server: ForkServer, task: str, payload: dict[str, Any], what: str, listener: Listener
) -> dict[str, Any] | None:
    listener.checking(what, None)
    timeout = CHECK_TIMEOUT_S if task == "check_model" else None
    outcome = server.run(task, payload, lambda event: listener.checking(what, event), timeout=timeout)
    if not outcome.ok and outcome.kind == "input":
        raise InputError(outcome.reason)
    if not outcome.ok and task == "check_data":
        tail = (outcome.traceback or outcome.log_tail).strip()
        raise GenbenchError(f"{what}: {outcome.reason}" + (f"\n{tail}" if tail else ""))
    return outcome.value


def _identify(cell: Cell, data: Mapping[str, Any], plugin: dict[str, str] | None, summary: str) -> Planned:
    """Hash everything that can change the cell's numbers, and describe the cell for its record."""
    settings = cell.settings
    # Where a file lies does not matter: its source is hashed.
    name = Path(cell.model.name).stem if cell.model.is_file else cell.model.name.rpartition(":")[2]
    decisive = {
        "schema": SCHEMA,
        "model": name,
        "options": dict(cell.model.options),
        "plugin": plugin and {key: plugin[key] for key in ("distribution", "version", "source_sha256")},
        "dataset_fingerprint": data["dataset"]["fingerprint"],
        "seed": cell.seed,
        "extractor": data["extractor"],
        "metrics": data["metrics"],
        "samples": data["samples"],
        "device": data["device"].partition(":")[0],
    }
    if not cell.is_control:
        decisive |= {
            "budget": str(settings.budget),
            "batch_size": settings.batch_size,
            "precision": settings.precision,
            "compile": settings.compile,
            "evaluations": settings.evaluations,
        }
    description = {
        "model": name,
        "label": cell.model.label,
        "options": dict(cell.model.options),
        "kind": "control" if cell.is_control else "model",
        "summary": summary,
        "plugin": plugin,
        "dataset": data["dataset"],
        "seed": cell.seed,
        "budget": str(settings.budget),
        "batch_size": settings.batch_size,
        "precision": settings.precision,
        "compile": settings.compile,
        "device": data["device"],
        "evaluations": settings.evaluations,
        "samples": data["samples"],
        "extractor": data["extractor"],
    }
    return Planned(cell, identity(decisive), description)


def _finished(directory: Path, cell_id: str) -> Record | None:
    path = record_path(directory, cell_id)
    if not path.exists():
        return None
    record = read_record(path)
    return record if record.finished else None


def _run_cell(
    server: ForkServer, planned: Planned, directory: Path, listener: Listener, command: str, timeout: float | None
) -> Record:
    """Run one cell; whatever happens to its process, there is a record in the end."""
    started = _now()
    payload = {
        "cell": planned.cell.to_json(),
        "id": planned.id,
        "description": planned.description,
        "directory": str(directory.resolve()),
        "command": command,
    }
    log = directory / "logs" / f"{planned.id}.log"
    outcome = server.run("run_cell", payload, lambda event: listener.event(planned, event), log, timeout)
    if outcome.ok:
        return read_record(record_path(directory, planned.id))
    return write_record(directory, _failed(planned, outcome, command, started))


def _failed(planned: Planned, outcome: Outcome, command: str, started: str) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "id": planned.id,
        "status": "failed",
        "cell": planned.description,
        "command": command,
        "numbers": {},
        "cost": {},
        "curve": [],
        "artifacts": {},
        "recipes": {},
        "environment": {},
        "failure": {
            "stage": outcome.stage,
            "reason": outcome.reason,
            "traceback": outcome.traceback,
            "log_tail": outcome.log_tail,
        },
        "started_at": started,
        "finished_at": _now(),
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
