"""Keeps the events of a cell from flooding the network of its cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Throttle"]

EVENT_INTERVAL_S = 1.0  # between two events of the same kind; all cells share the network
BURST = {"stage": 50, "notice": 50}  # this many of each may arrive at once


class Throttle:
    """Limits the rate of events of each kind to what a network and a reader can handle; the caller passes the time."""

    def __init__(self) -> None:
        self._passed: dict[str, int] = {}
        self._last: dict[str, float] = {}

    def passes(self, event: Mapping[str, Any], now: float) -> bool:
        """Return whether an event that arrives at `now` is passed on."""
        kind = event["event"]
        if kind == "points":  # the sender limits them, and none may be missing
            return True
        due = now - self._last.get(kind, -EVENT_INTERVAL_S) >= EVENT_INTERVAL_S
        if not due and self._passed.get(kind, 0) >= BURST.get(kind, 0):
            return False
        self._passed[kind] = self._passed.get(kind, 0) + 1
        self._last[kind] = now
        return True
