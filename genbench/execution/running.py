"""A task that runs in a worker, as the parent sees it: its events, its limits, and how it ends."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from genbench.execution.limits import Watch
from genbench.execution.messages import ForgedError, Inbox, decode

__all__ = ["Outcome", "Running", "death"]

LOG_TAIL_BYTES = 8000
LOG_LIMIT_BYTES = 4 * 2**20  # of a log on disk; older output is dropped
DUMP_S = 0.5  # for a process to write its stacks to the log before it is killed
SILENCE_INTERVAL_S = 30.0  # between messages that nothing has been reported
_SPEAK_FOR_THEMSELVES = ("InputError", "OptionError", "PluginError", "FeatureError", "SystemExit")


@dataclass
class Outcome:
    """How a task ended: with a value, or with the stage and reason of a failure."""

    value: dict[str, Any] | None = None
    stage: str = "start"
    kind: str = "failure"  # "input" if the user's request is at fault
    reason: str = ""
    traceback: str = ""
    log_tail: str = ""

    @property
    def ok(self) -> bool:
        """Whether the task returned."""
        return self.value is not None


@dataclass
class Running:
    """One task in progress; `outcome` is complete once `ended`."""

    number: int
    events: int
    log: BinaryIO
    on_event: Callable[[dict[str, Any]], None]
    watch: Watch
    outcome: Outcome = field(default_factory=Outcome)
    ended: bool = False
    _pid: int | None = None
    _status: int | None = None
    _inbox: Inbox = field(default_factory=Inbox)
    _open: bool = True
    _words: bytes = b""  # the message of a worker that could not write to its pipe
    _stopped: str = ""  # why this process is ending it
    _kill_at: float | None = None
    _asked: bool = False  # to end on its own
    _told: float = 0.0

    def answer(self, message: dict[str, Any], now: float) -> None:
        """Take a message from the server: that the worker has started, or how it ended."""
        if "pid" in message:
            self._pid = message["pid"]
            self.watch.follow(message["pid"], now)
            if self._stopped:  # because of what it wrote before this message arrived
                self.kill()
            elif self._asked:
                self.ask_to_end()
        self._status = message.get("status", self._status)
        self._words = message.get("words", "").encode()

    def read_events(self, now: float) -> bool:
        """Read the worker's output; False once it has closed its end."""
        data = os.read(self.events, 65536)
        if not self._stopped:
            self.watch.heard(now)
            self._told = 0.0
            try:
                for event in self._inbox.take(data, now):
                    self._take(event)
            except ForgedError as fault:
                # Third-party code also has the descriptor. Nothing after this can be trusted.
                self._stop(str(fault))
        if not data:
            self.close()
        return self._open

    def _stop(self, reason: str) -> None:
        self._stopped = reason
        self.kill()

    def _take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "result":
                self.outcome.value = event["value"]
            case "error":
                self.outcome.kind, self.outcome.traceback = event["kind"], event["traceback"]
                plain = event["type"] in _SPEAK_FOR_THEMSELVES or event["reason"] == event["type"]  # it has no text
                self.outcome.reason = event["reason"] if plain else f"{event['type']}: {event['reason']}"
            case "stage":
                self.outcome.stage = event["stage"]
                self.on_event(event)
            case _:
                self.on_event(event)

    def look(self, now: float) -> None:
        """Enforce the limits, and report long silences."""
        if self._kill_at is not None:
            if now > self._kill_at:
                self.kill()
            return
        reason = None if self._status is not None else self.watch.breach(now)
        if reason is not None:
            self._stopped = reason
            self._kill_at = now + DUMP_S
            self._signal_worker(signal.SIGUSR1)  # the worker writes each thread's stack to its log
            return
        silence = self.watch.silence(now)
        if silence - self._told > SILENCE_INTERVAL_S:
            self._told = silence
            self.on_event({"event": "silence", "seconds": silence})
        self._shorten_log()

    def is_over(self) -> bool:
        """Whether the worker has ended and all its messages have been read."""
        if self._status is None:
            return False
        # A grandchild may hold the pipe open: then its current content is all that the worker wrote.
        return not self._open or not _readable(self.events)

    def conclude(self) -> None:
        """Complete the outcome, and close the pipe and the log."""
        outcome = self.outcome
        if not self._stopped and not outcome.ok and not outcome.reason and self._words:
            with contextlib.suppress(ForgedError):
                self._take(decode(self._words))
        if self._stopped:
            outcome.value, outcome.reason = None, self._stopped
        elif not outcome.ok and not outcome.reason:
            outcome.reason = f"the process {death(self._status)}"
        self.log.seek(max(0, self.log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
        outcome.log_tail = self.log.read().decode(errors="replace")
        self.close()
        self.log.close()
        self.ended = True

    def close(self) -> None:
        """Close the pipe of events."""
        if self._open:
            os.close(self.events)
            self._open = False

    @property
    def is_open(self) -> bool:
        """Whether events may still arrive."""
        return self._open

    def ask_to_end(self) -> None:
        """Ask the worker to end (SIGTERM), as soon as it has started."""
        self._asked = True
        self._signal_worker(signal.SIGTERM)

    def kill(self) -> None:
        """End the worker and everything in its process group."""
        if self._pid is not None and self._status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
        self._signal_worker(signal.SIGKILL)  # it may have left its group

    def _signal_worker(self, number: signal.Signals) -> None:
        if self._pid is not None and self._status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, number)

    def _shorten_log(self) -> None:
        """Truncate a long log to its end, so that a plugin cannot fill the disk."""
        descriptor = self.log.fileno()
        size = os.fstat(descriptor).st_size
        if size > LOG_LIMIT_BYTES:
            tail = os.pread(descriptor, LOG_TAIL_BYTES, size - LOG_TAIL_BYTES)
            os.ftruncate(descriptor, 0)  # both sides append, so the worker continues after what is written here
            os.write(descriptor, f"[{size - len(tail)} bytes dropped]\n".encode() + tail)


def _readable(descriptor: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(timeout=0))


def death(status: int | None) -> str:
    """Return how a silent process ended, in words: `status` is its exit code, or minus a signal number."""
    if status is None or status >= 0:
        return f"ended with exit code {status} and said nothing"
    try:
        name = signal.Signals(-status).name
    except ValueError:  # one of those without a name
        name = f"signal {-status}"
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"
