"""The listener of an observed benchmark: passes everything on, and queues events for the observers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.config import Benchmark
from genbench.execution.planning import Listener, Planned
from genbench.observers.opening import opened
from genbench.observers.seen import benchmark_seen, cell_seen
from genbench.observers.telling import LOCKS, Teller
from genbench.plugin.observer import ObservedBenchmark, ObservedCell
from genbench.records.record import Record

__all__ = ["observing"]

PATIENCE_S = 30.0  # at the end, for an observer that makes no progress; a library may be slow to start
MOST_S = 120.0  # at the end, for one that does
HURRIED_S = 3.0  # at the end of an interrupted run


@contextlib.contextmanager
def observing(
    benchmark: Benchmark, directory: Path, listener: Listener, command: str, allowed: Sequence[str] | None = None
) -> Iterator[Listener]:
    """Yield a listener that also informs the benchmark's observers; `listener` itself if there are none.

    The end of the block waits for them: 30 seconds for one that makes no progress, two minutes at most.

    Args:
        benchmark: the benchmark, which names its observers.
        directory: the benchmark's folder.
        listener: receives everything, and the faults of observers as notices.
        command: the command that runs the benchmark again.
        allowed: the only distributions that observers may come from; None for all.

    Raises:
        InputError: there is no such observer, or it cannot be created.
    """
    if not benchmark.observe:
        yield listener
        return
    tellers = opened(benchmark.observe, allowed)
    told = _Observed(listener, tellers, benchmark, directory, command)
    try:
        yield told
    except BaseException:
        told.finish(HURRIED_S, HURRIED_S)
        raise
    told.finish(PATIENCE_S, MOST_S)


class _Observed:
    """A listener that passes on what it receives, and informs the observers."""

    def __init__(
        self, listener: Listener, tellers: Sequence[Teller], benchmark: Benchmark, directory: Path, command: str
    ) -> None:
        self._listener = listener
        self._tellers = tellers
        self._asked = benchmark
        self._directory = directory
        self._command = command
        self._benchmark: ObservedBenchmark | None = None
        self._cells: dict[str, ObservedCell] = {}

    def checking(self, what: str, event: Mapping[str, Any] | None) -> None:
        self._listener.checking(what, event)

    def all_planned(self, planned: Sequence[Planned]) -> None:
        self._listener.all_planned(planned)

    def started(self, number: int, total: int, planned: Planned, before: Record | None) -> None:
        self._listener.started(number, total, planned, before)
        for each, cell in self._told_of(planned):
            each.begin_cell(cell)
        self._warn()

    def event(self, planned: Planned, event: Mapping[str, Any]) -> None:
        if event["event"] == "points":
            for each, cell in self._told_of(planned):
                each.points(cell, event["points"], event["after"])
        else:
            self._listener.event(planned, event)
        self._warn()

    def ended(self, number: int, total: int, planned: Planned, record: Record, kept: bool) -> None:
        self._listener.ended(number, total, planned, record, kept)
        if not (kept and record.failed):  # the process that ran it has reported that
            for each, cell in self._told_of(planned):
                each.end_cell(cell, record)
        self._warn()

    def waiting(self, count: int) -> None:
        self._listener.waiting(count)

    def finish(self, patience_s: float, most_s: float) -> None:
        """Wait for the observers, and report their faults."""
        with contextlib.suppress(KeyboardInterrupt):  # a user in a hurry waits no longer
            for each in self._tellers:
                each.finish(patience_s, most_s)
        self._warn()
        with contextlib.suppress(OSError):  # another run also observes
            (self._directory / LOCKS).rmdir()

    def _told_of(self, planned: Planned) -> list[tuple[Teller, ObservedCell]]:
        """Return the observers of a cell, and the cell as they see it.

        Observers begin with the first cell: by then the fork server has started, and nothing that they do affects it.
        """
        if self._benchmark is None:
            try:
                self._benchmark = benchmark_seen(self._asked, self._directory, self._command)
            except OSError as error:
                for each in self._tellers:
                    self._notice(each, f"receives nothing: {self._directory} is not writable: {error.strerror}")
                self._tellers = ()
                return []
            for each in self._tellers:
                each.begin(self._benchmark)
        if planned.id not in self._cells:
            self._cells[planned.id] = cell_seen(self._benchmark, planned.id, planned.description)
        return [(each, self._cells[planned.id]) for each in self._tellers]

    def _warn(self) -> None:
        for each in self._tellers:
            for text in each.warnings():
                self._notice(each, text)

    def _notice(self, teller: Teller, text: str) -> None:
        self._listener.checking(f"observer {teller.name}", {"event": "notice", "text": text})
