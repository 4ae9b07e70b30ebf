"""Progress as bars on a terminal: one for all cells and one for each running cell."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from genbench.execution.planning import Planned
from genbench.kinds.nouns import noun_of
from genbench.plugin.visible import visible
from genbench.progress.layout import LEFT, PERCENT, Line, cut, duration, fitting, widths
from genbench.progress.wording import attempt, cell_name, losses, outcome, remark, stage_of, waiting_text
from genbench.records.record import Record

__all__ = ["Bars"]

CHECKS = "checks"


@dataclass
class _Task:
    """A line, and the progress of its stage when it first reported."""

    line: Line
    noun: str = "items"
    first: int = 0
    since: float = 0.0
    trained: float = 0.0  # the fraction of the training that is done


class Bars:
    """A bar for all cells and one for each running cell; cells that end are reported above them.

    Args:
        console: where to draw; standard error if not given.
        clock: seconds from an arbitrary point.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._tasks: dict[str, _Task] = {}
        self._total = self._ended = 0
        # The time left is that of models, as controls take almost no time. Own: those that ran here.
        self._models_left = self._own_models = 0
        self._begin_s = 0.0
        self._live = Live(console=self._console, get_renderable=self.table, transient=True, refresh_per_second=8)

    def __enter__(self) -> Bars:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def checking(self, what: str, event: Mapping[str, Any] | None) -> None:
        if event is None:
            self._tasks[CHECKS] = _Task(Line(f"checking {visible(what)}"))
        elif event["event"] == "notice":
            self._say(f"{visible(what)}: {remark(event)}")
        elif event["event"] == "silence":
            self._wait(CHECKS, event)
        else:
            self._move(CHECKS, event)

    def all_planned(self, planned: Sequence[Planned]) -> None:
        self._models_left = sum(map(_takes_time, planned))

    def started(self, number: int, total: int, planned: Planned, before: Record | None) -> None:
        self._tasks.pop(CHECKS, None)
        if not self._total:
            self._begin_s = self._clock()
        self._total = total
        self._tasks[planned.id] = _Task(Line(cell_name(planned)), noun_of(planned.description["dataset"]))
        if attempt(before):
            self._say(f"[{number}/{total}] {cell_name(planned)}{attempt(before)}")

    def event(self, planned: Planned, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "notice":
                self._say(f"{cell_name(planned)}: {remark(event)}")
            case "silence":
                self._wait(planned.id, event)
            case _:
                self._move(planned.id, event)

    def ended(self, number: int, total: int, planned: Planned, record: Record, kept: bool) -> None:
        self._tasks.pop(CHECKS, None)
        self._tasks.pop(planned.id, None)
        self._total, self._ended = total, self._ended + 1
        self._models_left -= _takes_time(planned)
        self._own_models += not kept and _takes_time(planned)
        self._say(f"[{number}/{total}] {cell_name(planned)}: {outcome(record, kept)}")

    def waiting(self, count: int) -> None:
        self._say(waiting_text(count))

    def table(self) -> Table:
        """Return the current bars, in columns that fit the console."""
        lines = [task.line for task in list(self._tasks.values())]  # not the thread that updates them
        if self._total:
            name = f"{self._ended} of {self._total} cells"
            lines.insert(0, Line(name, "", self._ended, self._total, self._left_s()))
        room = widths(lines, self._console.width)
        table = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
        for width in (room.name, room.stage, room.bar, PERCENT, LEFT, room.rate, room.losses):
            if width:
                table.add_column(width=width, no_wrap=True)
        for line in lines:
            share = f"{min(1.0, line.done / max(line.total, 1)):.0%}" if line.total is not None else ""
            cells = (
                (room.name, Text(cut(line.name, room.name))),
                (room.stage, Text(cut(line.stage, room.stage))),
                (room.bar, ProgressBar(line.total, line.done, width=room.bar)),
                (PERCENT, Text(share, justify="right")),
                (LEFT, Text(duration(line.left_s), justify="right")),
                (room.rate, Text(line.rate)),
                (room.losses, Text(fitting(line.losses, room.losses))),
            )
            table.add_row(*(cell for width, cell in cells if width))
        return table

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _wait(self, key: str, event: Mapping[str, Any]) -> None:
        """Show in place of the rate that a task has not reported for a long time."""
        task = self._tasks[key]
        task.line = replace(task.line, rate=remark(event).partition(";")[0], losses=())

    def _move(self, key: str, event: Mapping[str, Any]) -> None:
        """Process an event that gives a task's stage or its progress within it."""
        task, stage, now = self._tasks[key], stage_of(event), self._clock()
        if event["event"] == "stage":
            task.line = Line(task.line.name, stage)
            return
        done, total = event["done"], event["total"]
        if task.line.stage != stage or task.line.total is None:
            task.first, task.since = done, now
        moved = done - task.first
        # Metrics differ: how long the first took says nothing about the next.
        known = moved > 0 and event["event"] == "progress"
        left = max(0.0, (now - task.since) * (total - done) / moved) if known else None
        rate = f"{event['items_per_s']:,.0f} {task.noun}/s" if "items_per_s" in event else ""
        task.line = Line(task.line.name, stage, done, total, left, rate, losses(event))
        if stage == "training":
            task.trained = min(1.0, done / max(total, 1))

    def _left_s(self) -> float | None:
        """Return the estimated seconds until all cells are done, at the pace so far; None before a model has ended."""
        if not self._own_models:
            return None
        tasks = list(self._tasks.values())
        under_way = sum(task.trained for task in tasks)
        pace = (self._clock() - self._begin_s) / (self._own_models + under_way)
        # Models differ: it takes at least as long as any cell that is running.
        return max(0.0, pace * (self._models_left - under_way), *(task.line.left_s or 0.0 for task in tasks))


def _takes_time(planned: Planned) -> bool:
    """Return whether a cell trains a model, which takes almost all the time of a run."""
    return not planned.cell.is_control and not planned.unsuitable
