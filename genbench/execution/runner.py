"""Runs the cells of one benchmark that have no finished record, and records failures."""

from __future__ import annotations

import datetime
import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError
from genbench.execution.cell_lock import CellLock
from genbench.execution.conditions import Conditions
from genbench.execution.executor import Executor
from genbench.execution.output import set_aside
from genbench.execution.planning import Listener, Planned
from genbench.execution.running import Outcome
from genbench.records.files import read_record
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

__all__ = ["Runner"]

OTHERS_INTERVAL_S = 0.5  # between checks of cells that another process runs


@dataclass
class _Place:
    """One cell in the list of a benchmark's cells."""

    number: int
    planned: Planned
    before: Record | None  # of a failed attempt before this run
    lock: CellLock
    started_at: str = ""
    record: Record | None = None


class Runner:
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
                set_aside(path, self.directory)
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
            set_aside(record_path(self.directory, place.planned.id), self.directory)
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
