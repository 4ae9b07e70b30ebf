"""Progress as plain lines, at most one every few seconds per cell; and a listener that shows nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from genbench.execution.planning import Planned
from genbench.kinds.nouns import noun_of
from genbench.plugin.visible import visible
from genbench.progress.wording import attempt, cell_name, losses, outcome, remark, stage_of, waiting_text
from genbench.records.record import Record

__all__ = ["Lines", "Silence"]

LINE_INTERVAL_S = 10.0  # between plain lines of one cell


class Silence:
    """A listener that shows nothing."""

    def checking(self, what: str, event: Mapping[str, Any] | None) -> None: ...

    def all_planned(self, planned: Sequence[Planned]) -> None: ...

    def started(self, number: int, total: int, planned: Planned, before: Record | None) -> None: ...

    def event(self, planned: Planned, event: Mapping[str, Any]) -> None: ...

    def ended(self, number: int, total: int, planned: Planned, record: Record, kept: bool) -> None: ...

    def waiting(self, count: int) -> None: ...


class Lines:
    """Plain lines, at most one every few seconds per cell.

    Args:
        write: receives each line, without its line break.
        clock: seconds from an arbitrary point.
    """

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._last: dict[str, float] = {}

    def checking(self, what: str, event: Mapping[str, Any] | None) -> None:
        if event is None:
            self._write(f"checking {visible(what)}")
        elif event["event"] in ("notice", "silence"):
            self._write(f"  {visible(what)}: {remark(event)}")
        elif event["event"] == "progress" and self._due(what):
            self._write(f"  {stage_of(event)}: {event['done']} of {event['total']}")

    def all_planned(self, planned: Sequence[Planned]) -> None: ...

    def started(self, number: int, total: int, planned: Planned, before: Record | None) -> None:
        self._last[planned.id] = self._clock()
        if not planned.cell.is_control or attempt(before):
            self._write(f"[{number}/{total}] {cell_name(planned)} ...{attempt(before)}")

    def event(self, planned: Planned, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "progress" | "metric" if self._due(planned.id):
                line = f"  {cell_name(planned)}: {stage_of(event)}: {event['done']} of {event['total']}"
                if "items_per_s" in event:
                    noun = noun_of(planned.description["dataset"])
                    line += f", {event['items_per_s']:,.0f} {noun}/s, {', '.join(losses(event))}"
                self._write(line)
            case "notice" | "silence":
                self._write(f"  {cell_name(planned)}: {remark(event)}")

    def ended(self, number: int, total: int, planned: Planned, record: Record, kept: bool) -> None:
        self._write(f"[{number}/{total}] {cell_name(planned)}: {outcome(record, kept)}")

    def waiting(self, count: int) -> None:
        self._write(waiting_text(count))

    def _due(self, what: str) -> bool:
        now = self._clock()
        if now - self._last.setdefault(what, now) < LINE_INTERVAL_S:
            return False
        self._last[what] = now
        return True
