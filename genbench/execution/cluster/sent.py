"""A task that was sent to a worker, as the process that shows progress sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed import Future

from genbench.errors import shortened
from genbench.execution.cluster.parcels import ParcelError
from genbench.execution.cluster.pool import Place
from genbench.execution.executor import OnEvent
from genbench.execution.limits import Limits
from genbench.execution.messages import LINE_CHARACTERS, TEXT_CHARACTERS
from genbench.execution.running import Outcome

__all__ = ["MOST_ATTEMPTS", "Sent"]

MOST_ATTEMPTS = 3  # after which the cell itself is suspected of killing its workers
LOG_CHARACTERS = 10_000


@dataclass(eq=False)
class Sent:
    """One task; `outcome` is complete once it has `ended`.

    Args:
        number: identifies it.
        task: its name in `genbench.execution.tasks`.
        payload: of the task.
        on_event: called with each of its events.
        limits: its limits.
        log: the file for its output, or None.
        pinned: whether it concerns one worker, so no other can do it.
    """

    number: int
    task: str
    payload: dict[str, Any]
    on_event: OnEvent
    limits: Limits
    log: Path | None = None
    pinned: bool = False
    outcome: Outcome = field(default_factory=Outcome)
    on_answer: Callable[[Outcome], None] | None = None  # called once a worker has finished it
    ended: bool = False
    killed: bool = False
    place: Place | None = None
    future: Future[Any] | None = None
    lost_on: list[str] = field(default_factory=list)

    def kill(self) -> None:
        """Cancel it, which its worker notices."""
        self.killed = True
        if self.future is not None:
            self.future.cancel()

    def read(self, answer: Any) -> Outcome:
        """Return the outcome in a worker's answer, trusting nothing that has not been checked.

        Raises:
            ParcelError: it is not a valid answer.
        """
        told = answer.get("outcome") if isinstance(answer, dict) else None
        if not isinstance(told, dict) or not isinstance(answer.get("log"), bytes):
            raise ParcelError("what came back from its worker is nothing that genbench sends")
        value = told.get("value")
        texts = [told.get(name) for name in ("stage", "kind", "reason", "traceback", "log_tail")]
        if not (value is None or isinstance(value, dict)) or not all(isinstance(text, str) for text in texts):
            raise ParcelError("what came back from its worker is nothing that genbench sends")
        stage, kind, reason, traceback, log_tail = map(str, texts)
        return Outcome(
            value,
            " ".join(shortened(stage, LINE_CHARACTERS).split()),
            "input" if kind == "input" else "failure",
            shortened(reason, LINE_CHARACTERS),
            shortened(traceback, TEXT_CHARACTERS),
            shortened(log_tail, LOG_CHARACTERS),
        )
