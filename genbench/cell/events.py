"""What a cell reports while it runs: its stage, the progress within it, and what a user should know."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["Emit", "Events"]

Emit = Callable[[dict[str, Any]], None]
INTERVAL_S = 0.1


class Events:
    """Passes events on; limits progress to what the eye can follow."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._shown = 0.0

    def __call__(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if event["event"] == "progress":
            if now - self._shown < INTERVAL_S:
                return
            self._shown = now
        self._emit(event)

    def stage(self, name: str) -> None:
        """Report that a stage begins."""
        self({"event": "stage", "stage": name})

    def metric(self, name: str, number: int, total: int) -> None:
        """Report that one metric of `total` begins, after `number` others."""
        self({"event": "metric", "name": name, "done": number, "total": total})

    def notice(self, text: str) -> None:
        """Report what differs from the request."""
        self({"event": "notice", "text": text})
