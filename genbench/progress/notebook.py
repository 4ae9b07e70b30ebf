"""Progress in a notebook: one output below the cell that is updated in place, instead of thousands of lines."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from genbench.execution.planning import Planned
from genbench.progress.bars import Bars
from genbench.progress.shell import Display
from genbench.records.record import Record

__all__ = ["NotebookBars"]

WIDTH = 110  # characters: the width of a notebook cell on a common screen
INTERVAL_S = 0.25


class NotebookBars(Bars):
    """The bars of a terminal as text in one output, with finished cells above them.

    Args:
        display: shows the output.
        clock: seconds from an arbitrary point.
    """

    def __init__(self, display: Display, clock: Callable[[], float] = time.monotonic) -> None:
        self._text = io.StringIO()
        super().__init__(Console(file=self._text, width=WIDTH, color_system=None, force_jupyter=False), clock)
        self._display = display
        self._id = uuid.uuid4().hex
        self._shown_at = -INTERVAL_S
        self._begun = False

    def __enter__(self) -> NotebookBars:
        return self

    def __exit__(self, *_: object) -> None:
        self._show(self._text.getvalue())  # only what is done: nothing is running any more

    def checking(self, what: str, event: Mapping[str, Any] | None) -> None:
        super().checking(what, event)
        self._refresh()

    def started(self, number: int, total: int, planned: Planned, before: Record | None) -> None:
        super().started(number, total, planned, before)
        self._refresh()

    def event(self, planned: Planned, event: Mapping[str, Any]) -> None:
        super().event(planned, event)
        self._refresh()

    def ended(self, number: int, total: int, planned: Planned, record: Record, kept: bool) -> None:
        super().ended(number, total, planned, record, kept)
        self._refresh()

    def waiting(self, count: int) -> None:
        super().waiting(count)
        self._refresh()

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._shown_at >= INTERVAL_S:
            self._shown_at = now
            with self._console.capture() as bars:
                self._console.print(self.table())
            self._show(self._text.getvalue() + bars.get())

    def _show(self, text: str) -> None:
        # The same output is updated in place: `update` requires that it exists.
        self._display({"text/plain": text.rstrip("\n")}, transient={"display_id": self._id}, update=self._begun)
        self._begun = True
