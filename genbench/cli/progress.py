"""Shows how a benchmark goes on: bars on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from genbench.api import Silence
from genbench.cli.terminal import watched
from genbench.execution.benchmark import Listener, Planned
from genbench.record import Record

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["listener_for"]

LINE_INTERVAL_S = 10.0  # between plain lines of one cell


@contextlib.contextmanager
def listener_for(quiet: bool) -> Iterator[Listener]:
    """Give the listener that fits where standard error goes."""
    if quiet:
        yield Silence()
    elif watched():
        with Bars() as bars:
            yield bars
    else:
        yield Lines()


def outcome(record: Record, kept: bool) -> str:
    """Return what a cell came to, in a few words."""
    if not record.finished:
        failure = record.failure or {}
        return f"FAILED in {failure.get('stage')}: {failure.get('reason')}"
    # The first number is the main one: metrics stand in the order of their table.
    text = ", ".join(f"{name} {value:.4g}" for name, value in list(record.numbers.items())[:2])
    seconds = record.cost.get("train_s")
    if seconds is not None:
        text += f", trained {seconds:.1f} s"
    return f"{text} (finished before)" if kept else text


def losses_text(event: Mapping[str, Any]) -> str:
    """Return the losses of a training event, such as `generator 0.71, discriminator 1.3`."""
    return ", ".join(f"{name} {value:.3g}" for name, value in event.get("losses", {}).items())


def cell_name(planned: Planned) -> str:
    """Return `gan on digits, seed 0`."""
    return f"{planned.cell.model.label} on {planned.cell.dataset}, seed {planned.cell.seed}"


def attempt(before: Record | None) -> str:
    """Return what to say of an attempt before that failed; empty where there was none."""
    if before is None or before.finished or not before.failure:
        return ""
    return f" (failed before: {before.failure.get('reason')})"


class Lines:
    """Plain lines on standard error, at most one every few seconds a cell."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def checking(self, what: str, event: Mapping[str, Any] | None) -> None:
        if event is None:
            click.echo(f"checking {what}", err=True)
        elif event["event"] == "progress" and self._due(what):
            click.echo(f"  {event['stage']}: {event['done']} of {event['total']}", err=True)
        elif event["event"] == "notice":
            click.echo(f"  {remark(event)}", err=True)

    def started(self, number: int, total: int, planned: Planned, before: Record | None) -> None:
        self._last[planned.id] = time.monotonic()
        if not planned.cell.is_control or attempt(before):
            click.echo(f"[{number}/{total}] {cell_name(planned)} ...{attempt(before)}", err=True)

    def event(self, planned: Planned, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "progress" if self._due(planned.id):
                line = f"  {cell_name(planned)}: {event['stage']}: {event['done']} of {event['total']}"
                if "images_per_s" in event:
                    line += f", {event['images_per_s']:,.0f} images/s, {losses_text(event)}"
                click.echo(line, err=True)
            case "notice" | "silence":
                click.echo(f"  {cell_name(planned)}: {remark(event)}", err=True)

    def ended(self, number: int, total: int, planned: Planned, record: Record, kept: bool) -> None:
        click.echo(f"[{number}/{total}] {cell_name(planned)}: {outcome(record, kept)}", err=True)

    def waiting(self, count: int) -> None:
        click.echo(waiting_text(count), err=True)

    def _due(self, what: str) -> bool:
        now = time.monotonic()
        if now - self._last.setdefault(what, now) < LINE_INTERVAL_S:
            return False
        self._last[what] = now
        return True


def remark(event: Mapping[str, Any]) -> str:
    """Return what a notice says, or that nothing has been reported for long though the process works."""
    if event["event"] == "notice":
        return str(event["text"])
    return f"no news for {event['seconds']:.0f} s; it is at work"


def waiting_text(count: int) -> str:
    """Return the line that says what another process still runs."""
    return f"waiting for {count} cell{'s' * (count > 1)} that another genbench run is at"


class Bars:
    """A bar for all cells and one for each that runs, on a terminal."""

    def __enter__(self) -> Bars:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._progress.start()
        self._all = self._progress.add_task("cells", total=None, detail="", visible=False)
        self._bars: dict[str, TaskID] = {}
        self._titles: dict[str, str] = {}
        self._ended = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def checking(self, what: str, event: Mapping[str, Any] | None) -> None:
        if event is None:
            self._begin("checks", f"checking {what}")
        elif event["event"] == "stage":
            self._begin("checks", event["stage"])
        elif event["event"] == "notice":
            self._say(remark(event))
        else:
            self._move("checks", event)

    def started(self, number: int, total: int, planned: Planned, before: Record | None) -> None:
        self._end("checks")
        self._progress.update(self._all, total=total, completed=self._ended, visible=True)
        self._begin(planned.id, cell_name(planned))
        if attempt(before):
            self._say(f"[{number}/{total}] {cell_name(planned)}{attempt(before)}")

    def event(self, planned: Planned, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "stage":
                self._begin(planned.id, f"{cell_name(planned)}: {event['stage']}")
            case "progress":
                self._move(planned.id, event)
            case "silence":
                self._progress.update(self._bars[planned.id], detail=remark(event))
            case "notice":
                self._say(f"{cell_name(planned)}: {remark(event)}")

    def ended(self, number: int, total: int, planned: Planned, record: Record, kept: bool) -> None:
        self._end("checks")
        self._end(planned.id)
        self._ended += 1
        self._progress.update(self._all, total=total, completed=self._ended, visible=True)
        self._say(f"[{number}/{total}] {cell_name(planned)}: {outcome(record, kept)}")

    def waiting(self, count: int) -> None:
        self._say(waiting_text(count))

    def _say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def _begin(self, key: str, title: str) -> None:
        if key not in self._bars:
            self._bars[key] = self._progress.add_task(title, total=None, detail="")
        elif self._titles[key] != title:
            self._progress.reset(self._bars[key], description=title, total=None, completed=0, detail="")
        self._titles[key] = title

    def _end(self, key: str) -> None:
        if key in self._bars:
            self._progress.remove_task(self._bars.pop(key))

    def _move(self, key: str, event: Mapping[str, Any]) -> None:
        detail = losses_text(event)
        if "images_per_s" in event:
            detail = f"{event['images_per_s']:,.0f} images/s  {detail}"
        self._progress.update(self._bars[key], total=event["total"], completed=event["done"], detail=detail)
