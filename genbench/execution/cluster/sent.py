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

MOST_ATTEMPTS = 3  # after which a cell counts as what kills its workers
LOG_CHARACTERS = 10_000


@dataclass(eq=False)
class Sent:
    """One task; `outcome` is complete once it has `ended`.

    Args:
        number: what tells it from others.
        task: what is asked, as `genbench.execution.tasks` names it.
        payload: of the task.
        on_event: is called with what it tells.
        limits: what it may take.
        log: where what it prints goes, or None.
        pinned: whether it is about one worker, so that no other can do it.
    """

    number: int
    task: str
    payload: dict[str, Any]
    on_event: OnEvent
    limits: Limits
    log: Path | None = None
    pinned: bool = False
    outcome: Outcome = field(default_factory=Outcome)
    on_answer: Callable[[Outcome], None] | None = None  # is called once a worker has brought it to its end
    ended: bool = False
    killed: bool = False
    place: Place | None = None
    future: Future[Any] | None = None
    lost_on: list[str] = field(default_factory=list)

    def kill(self) -> None:
        """End it: nobody wants it any more, which its worker notices."""
        self.killed = True
        if self.future is not None:
            self.future.cancel()

    def read(self, answer: Any) -> Outcome:
        """Return the outcome that a worker's answer holds; nothing in it is believed that has not been looked at.

        Raises:
            ParcelError: it is no answer.
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
