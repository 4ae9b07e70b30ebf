"""Shows how a benchmark goes on: bars on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from genbench.api import Silence
from genbench.execution.benchmark import Listener, Planned
from genbench.record import Record

__all__ = ["listener_for"]

LINE_INTERVAL_S = 10.0  # between plain lines of one cell


@contextlib.contextmanager
def listener_for(quiet: bool) -> Iterator[Listener]:
    """Give the listener that fits where standard error goes."""
    if quiet:
        yield Silence()
    elif sys.stderr.isatty():
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


class Lines:
    """Plain lines on standard error, at most one every few seconds while a cell runs."""

    def __init__(self) -> None:
        self._last = 0.0
        self._checked = ""

    def checking(self, what: str, event: Mapping[str, Any] | None) -> None:
        if event is None:
            click.echo(f"checking {what}", err=True)
        elif event["event"] == "progress" and self._due():
            click.echo(f"  {event['stage']}: {event['done']} of {event['total']}", err=True)

    def started(self, number: int, total: int, planned: Planned) -> None:
        self._last = time.monotonic()
        if not planned.cell.is_control:
            click.echo(f"[{number}/{total}] {cell_name(planned)} ...", err=True)

    def event(self, planned: Planned, event: Mapping[str, Any]) -> None:
        if event["event"] != "progress" or not self._due():
            return
        line = f"  {event['stage']}: {event['done']} of {event['total']}"
        if "images_per_s" in event:
            line += f", {event['images_per_s']:,.0f} images/s, {losses_text(event)}"
        click.echo(line, err=True)

    def ended(self, number: int, total: int, planned: Planned, record: Record, kept: bool) -> None:
        click.echo(f"[{number}/{total}] {cell_name(planned)}: {outcome(record, kept)}", err=True)

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._last < LINE_INTERVAL_S:
            return False
        self._last = now
        return True


class Bars:
    """A bar for all cells and one for the cell that runs, on a terminal."""

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
        self._one = self._progress.add_task("", total=None, detail="")
        self._stage = ""
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def checking(self, what: str, event: Mapping[str, Any] | None) -> None:
        if event is None:
            self._begin(f"checking {what}")
        elif event["event"] == "stage":
            self._begin(event["stage"])
        else:
            self._move(event)

    def started(self, number: int, total: int, planned: Planned) -> None:
        self._progress.update(self._all, total=total, completed=number - 1, visible=True)
        self._begin(cell_name(planned))

    def event(self, planned: Planned, event: Mapping[str, Any]) -> None:
        if event["event"] == "stage":
            self._begin(f"{cell_name(planned)}: {event['stage']}")
        else:
            self._move(event)

    def ended(self, number: int, total: int, planned: Planned, record: Record, kept: bool) -> None:
        self._progress.update(self._all, total=total, completed=number, visible=True)
        self._progress.console.print(
            f"[{number}/{total}] {cell_name(planned)}: {outcome(record, kept)}", markup=False, highlight=False
        )

    def _begin(self, description: str) -> None:
        if description != self._stage:
            self._stage = description
            self._progress.reset(self._one, description=description, total=None, completed=0, detail="")

    def _move(self, event: Mapping[str, Any]) -> None:
        detail = losses_text(event)
        if "images_per_s" in event:
            detail = f"{event['images_per_s']:,.0f} images/s  {detail}"
        self._progress.update(self._one, total=event["total"], completed=event["done"], detail=detail)
