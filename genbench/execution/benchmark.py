"""Runs a benchmark: checks the request, runs each cell that has no finished record, and records failures.

Nothing here imports torch: this is the process that shows progress.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench import datasets, features
from genbench.config import CONTROLS, Benchmark
from genbench.errors import GenbenchError, InputError
from genbench.evaluation.selection import select
from genbench.evaluation.targets import check_benchmark
from genbench.execution.cell_lock import CellLock
from genbench.execution.conditions import DEFAULT, Conditions
from genbench.execution.engines import executor_for
from genbench.execution.executor import Executor
from genbench.execution.planning import Listener, Planned, plan
from genbench.execution.running import Outcome
from genbench.execution.standing import standing
from genbench.machine import atomic
from genbench.plugin import finding
from genbench.records.files import read_record
from genbench.records.plans import write_plan
from genbench.records.record import (
    Record,
    RecordError,
    cell_id,
    checkpoint_path,
    not_applicable,
    record_path,
    without_numbers,
    write_record,
)

__all__ = ["Listener", "Planned", "run_benchmark"]

GOES_ON = "repeat the command to resume"
OTHERS_INTERVAL_S = 0.5  # between checks of cells that another process runs


def run_benchmark(
    benchmark: Benchmark,
    directory: Path,
    listener: Listener,
    command: str,
    conditions: Conditions = DEFAULT,
) -> list[Record]:
    """Run every cell of the benchmark without a finished record in `directory`; return the records of all cells.

    Other processes may run the same benchmark in the same directory; they divide the cells between them.

    Args:
        command: the command that runs it again, for the report.

    Raises:
        InputError: the request is at fault; nothing has been trained.
        GenbenchError: a record is damaged, or cannot be written.

    An exception that ends it early carries a note (`__notes__`) with the number of finished cells.
    """
    named = [model for model in benchmark.models if model.name not in CONTROLS]
    found = {model.label: finding.find(model, conditions.plugins_from) for model in named}
    for dataset in benchmark.datasets:  # report an unknown name before a server is started
        datasets.presence_of(dataset, plugins_from=conditions.plugins_from)
    select(benchmark.settings.metrics, plugins_from=conditions.plugins_from)  # likewise
    features.check_name(benchmark.settings.extractor, conditions.plugins_from)
    check_benchmark(benchmark)
    made = _check_writable(directory)
    atomic.sweep(directory)
    ids: list[str] = []

    def tell(text: str) -> None:
        listener.checking("cells", {"event": "notice", "text": text})

    try:
        # Locks are released last: cells may write until the executor has ended.
        with contextlib.ExitStack() as locks, executor_for(conditions, benchmark.settings, tell) as executor:
            planned = plan(benchmark, found, executor, listener, conditions.limits, conditions.plugins_from)
            ids = [each.id for each in planned]
            runner = _Runner(executor, planned, directory, listener, command, conditions, bool(benchmark.observe))
            locks.callback(runner.let_go)
            described = ((each.id, each.description) for each in planned)
            write_plan(directory, described, benchmark.settings.target)  # for the report of a partial run
            listener.all_planned(planned)
            try:
                records = runner.run()
            except KeyboardInterrupt:
                runner.end()
                raise
    except BaseException as error:
        error.add_note(f"{standing(directory, ids)}; {GOES_ON}" if ids else GOES_ON)
        raise
    finally:
        atomic.sweep(directory)  # after cells that were ended while writing a checkpoint
        _remove_empty_folders(directory, made)
    return records


def _remove_empty_folders(directory: Path, made: Sequence[Path]) -> None:
    """Remove the folders of locks and checkpoints unless a run is in progress, and folders `made` in vain."""
    with contextlib.suppress(OSError):  # not empty: another run is in progress, or a failed cell may be resumed
        if (directory / "locks").exists():
            (directory / "locks").rmdir()
            # Only after the locks: a process that writes a checkpoint holds a lock.
            checkpoint_path(directory, "").parent.rmdir()
    with contextlib.suppress(OSError):  # not empty
        for folder in made:
            folder.rmdir()


def _check_writable(directory: Path) -> list[Path]:
    """Create the folder; return the folders that had to be created, innermost first."""
    records = directory / "records"
    made = [folder for folder in (records, *records.parents) if not folder.exists()]
    try:
        records.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"output directory {directory} cannot be created: {error.strerror}; choose another with --out"
        ) from error
    if not os.access(records, os.W_OK):
        raise InputError(f"output directory {directory} is not writable; choose another with --out")
    return made


@dataclass
class _Place:
    """One cell in the list of a benchmark's cells."""

    number: int
    planned: Planned
    before: Record | None  # of a failed attempt before this run
    lock: CellLock
    started_at: str = ""
    record: Record | None = None


class _Runner:
    """The cells of one benchmark: those waiting, those running here, and those run by another process."""

    def __init__(
        self,
        executor: Executor,
        planned: list[Planned],
        directory: Path,
        listener: Listener,
        command: str,
        conditions: Conditions,
        observed: bool,
    ) -> None:
        self.observed = observed
        self.executor = executor
        self.directory = directory
        self.listener = listener
        self.command = command
        self.conditions = conditions
        # All records are read before anything runs, so a damaged one is reported now, not in the middle of the night.
        self.places = [
            _Place(number, each, self._recorded(each.id), CellLock(directory, each.id))
            for number, each in enumerate(planned, 1)
        ]
        self.waiting = deque(self.places)
        self.elsewhere: list[_Place] = []
        self.running: dict[int, _Place] = {}

    def run(self) -> list[Record]:
        told = False
        while any(place.record is None for place in self.places):
            self._fill()
            if self.running or self.waiting:
                for task in self.executor.wait(OTHERS_INTERVAL_S if self.elsewhere else None):
                    self._end(self.running.pop(task.number), task.outcome)
            elif self.elsewhere:
                if not told:
                    self.listener.waiting(len(self.elsewhere))
                    told = True
                time.sleep(OTHERS_INTERVAL_S)
            self.waiting.extend(self.elsewhere)
            self.elsewhere.clear()
        records = [place.record for place in self.places if place.record is not None]
        for record in records:
            if not record_path(self.directory, record.id).exists():  # something has emptied the folder in the meantime
                write_record(self.directory, record.data)
        return records

    def end(self) -> None:
        """Let the cells that train here write a last checkpoint, and end them."""
        if not self.running:
            return
        grace = self.conditions.grace
        text = f"stopping within {grace:g} s, with a checkpoint if possible; Ctrl-C stops it now"

        def asked() -> None:
            for place in self.running.values():
                self.listener.event(place.planned, {"event": "notice", "text": text})

        self.executor.ask_to_end(grace, asked)

    def let_go(self) -> None:
        """Release the remaining locks of an interrupted run: this process may continue and run it again."""
        for place in self.places:
            if place.lock.held:
                place.lock.release()

    def _fill(self) -> None:
        """Start cells until no place is free, skipping those that are finished or run elsewhere."""
        while self.waiting and self.executor.free() > 0:
            place = self.waiting.popleft()
            if not place.lock.acquire():
                self.elsewhere.append(place)
                continue
            kept = self._kept(place)
            if kept is None and place.planned.unsuitable:
                self._leave_out(place, place.planned.unsuitable)
            elif kept is None:
                self._start(place)
            else:
                if kept.finished:  # a process may be killed between writing its record and this
                    checkpoint_path(self.directory, kept.id).unlink(missing_ok=True)
                kept = self._relabelled(place, kept)
                place.lock.release()
                self._tell(place, kept, True)

    def _leave_out(self, place: _Place, reason: str) -> None:
        planned = place.planned
        document = not_applicable(planned.id, planned.description, self.command, reason, _now())
        record = write_record(self.directory, document)
        place.lock.release()
        self._tell(place, record, False)

    def _relabelled(self, place: _Place, record: Record) -> Record:
        """Return the record under the requested label: a label is only a name, and changing it trains nothing again."""
        label = place.planned.description["label"]
        if record.label == label:
            return record
        return write_record(self.directory, {**record.data, "cell": {**record.data["cell"], "label": label}})

    def _kept(self, place: _Place) -> Record | None:
        """Return the record that makes running this cell unnecessary, if any."""
        record = self._recorded(place.planned.id)
        if record is None or record.data == (place.before and place.before.data):
            # It existed before this run: it counts only if it is finished and no fresh start was requested.
            counts = record is not None and record.finished and not self.conditions.fresh
            return record if record is not None and counts and _still_holds(place.planned, record) else None
        return record  # another process has written it in the meantime, finished or failed

    def _recorded(self, planned_id: str) -> Record | None:
        path = record_path(self.directory, planned_id)
        if not os.path.lexists(path):
            return None
        record = read_record(path)
        if cell_id(record.data["cell"]) != planned_id:  # from an older schema, with different identities
            raise RecordError(f"record {path} belongs to another cell; delete it to run its cell again")
        return record

    def _start(self, place: _Place) -> None:
        planned = place.planned
        if self.conditions.fresh:
            for path in (record_path(self.directory, planned.id), checkpoint_path(self.directory, planned.id)):
                _set_aside(path, self.directory)
        place.started_at = _now()
        self.listener.started(place.number, len(self.places), planned, place.before)
        task = self.executor.start_cell(
            self._payload(place),
            lambda event: self.listener.event(planned, event),
            self.directory / "logs" / f"{planned.id}.log",
            self.conditions.limits,
            [place.lock.descriptor],
        )
        self.running[task.number] = place

    def _payload(self, place: _Place) -> dict[str, Any]:
        plugin, covered = place.planned.description["plugin"], place.planned.covered
        return {
            "cell": place.planned.cell.to_json(),
            "id": place.planned.id,
            "description": place.planned.description,
            "covered": covered and covered.to_json(),
            "distribution": plugin and plugin["distribution"],
            "directory": str(self.directory.resolve()),
            "command": self.command,
            "plugins_from": self.conditions.plugins_from,
            "checkpoint_interval": self.conditions.checkpoint_interval,
            "grace": self.conditions.grace,
            "observed": self.observed,
        }

    def _end(self, place: _Place, outcome: Outcome) -> None:
        record = self._left_by(place, outcome) if outcome.ok else None
        if record is None or record.failed:
            outcome.reason = outcome.reason or "the process said that it had finished, and left no record"
            record = self._write_failed(place, outcome)
        place.lock.release()
        self._tell(place, record, False)

    def _left_by(self, place: _Place, outcome: Outcome) -> Record | None:
        """Return the record that a cell has left; one that its model has spoilt fails this cell, not the benchmark."""
        try:
            return self._recorded(place.planned.id)
        except RecordError as error:
            _set_aside(record_path(self.directory, place.planned.id), self.directory)
            outcome.reason = f"it left no usable record: {str(error).partition(';')[0]}"
            return None

    def _write_failed(self, place: _Place, outcome: Outcome) -> Record:
        try:
            return write_record(self.directory, _failed(place, outcome, self.command))
        except OSError as error:
            raise GenbenchError(
                f"{place.planned.cell.model.label}: {outcome.reason}; and its record cannot be written to "
                f"{self.directory}: {error.strerror}. Finished cells are safe; fix this and repeat the command"
            ) from error

    def _tell(self, place: _Place, record: Record, kept: bool) -> None:
        place.record = record
        self.listener.ended(place.number, len(self.places), place.planned, record, kept)


def _still_holds(planned: Planned, record: Record) -> bool:
    """Return whether the files that a cell read beyond its identity are unchanged; True if it read none."""
    also_read = (record.data["cell"].get("plugin") or {}).get("also_read") or {}
    return planned.covered is None or planned.covered.still_holds(also_read)


def _set_aside(path: Path, directory: Path) -> None:
    """Move what lies at a path to `replaced/`, so that nothing is overwritten."""
    if not os.path.lexists(path):
        return
    target = directory / "replaced" / f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}" / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)


def _failed(place: _Place, outcome: Outcome, command: str) -> dict[str, Any]:
    failure = {
        "stage": outcome.stage,
        "reason": outcome.reason,
        "traceback": outcome.traceback,
        "log_tail": outcome.log_tail,
    }
    ended = {"status": "failed", "failure": failure, "started_at": place.started_at, "finished_at": _now()}
    return without_numbers(place.planned.id, place.planned.description, command) | ended


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
