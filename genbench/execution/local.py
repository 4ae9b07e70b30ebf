"""Runs tasks in worker processes on this machine, without importing torch into the process that shows progress."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from genbench.errors import GenbenchError

__all__ = ["ForkServer", "Outcome", "ServerError"]

LOG_TAIL_BYTES = 4000


class ServerError(GenbenchError):
    """The fork server could not be started or has died."""


@dataclass
class Outcome:
    """How a task ended: with a value, or with a failure that says at which stage and why."""

    value: dict[str, Any] | None = None
    stage: str = "start"
    kind: str = "failure"  # "input" where the user's request is at fault
    reason: str = ""
    traceback: str = ""
    log_tail: str = ""

    @property
    def ok(self) -> bool:
        """Whether the task returned."""
        return self.value is not None


@dataclass
class _Task:
    """A task under way."""

    number: int
    events: int
    log: BinaryIO
    on_event: Callable[[dict[str, Any]], None]
    deadline: float | None
    outcome: Outcome = field(default_factory=Outcome)
    pid: int | None = None
    status: int | None = None
    buffer: bytes = b""
    timed_out: bool = False
    open: bool = True


class ForkServer:
    """A server process that has imported torch, and the workers forked from it. Use it as a context manager."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._answers = b""

    def __enter__(self) -> ForkServer:
        own, theirs = socket.socketpair()
        with theirs:
            # A session of its own keeps an interrupt from the keyboard away from the workers: the parent ends them.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "genbench.execution.server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        self._control = own
        return self

    def __exit__(self, *_: object) -> None:
        if self._control is not None:
            self._control.close()  # the server sees it, ends its workers, and leaves
        if self._process is not None:
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def run(
        self,
        task: str,
        payload: dict[str, Any],
        on_event: Callable[[dict[str, Any]], None] = lambda event: None,
        log: Path | None = None,
        timeout: float | None = None,
    ) -> Outcome:
        """Run one task in a worker, hand its events to `on_event`, and return how it ended; never raises for it."""
        running = self._start(task, payload, on_event, log, timeout)
        try:
            self._follow(running)
        except BaseException:
            self._kill(running)
            raise
        finally:
            if running.open:
                os.close(running.events)
            running.log.close()
        return running.outcome

    def _start(
        self,
        task: str,
        payload: dict[str, Any],
        on_event: Callable[[dict[str, Any]], None],
        log: Path | None,
        timeout: float | None,
    ) -> _Task:
        assert self._control is not None, "enter the context first"
        number = next(self._numbers)
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
        output: BinaryIO = open(log, "w+b") if log else tempfile.TemporaryFile()  # noqa: SIM115  # closed by run
        read, write = os.pipe()
        text = json.dumps({"number": number, "task": task, "payload": payload}).encode()
        try:
            socket.send_fds(self._control, [struct.pack("!I", len(text))], [write, output.fileno()])
            self._control.sendall(text)
        except OSError as error:
            raise ServerError(self._epitaph()) from error
        finally:
            os.close(write)
        deadline = None if timeout is None else time.monotonic() + timeout
        return _Task(number, read, output, on_event, deadline)

    def _follow(self, task: _Task) -> None:
        """Read events and answers until the worker has ended and its pipe is empty."""
        assert self._control is not None
        with selectors.DefaultSelector() as selector:
            selector.register(task.events, selectors.EVENT_READ, "events")
            selector.register(self._control, selectors.EVENT_READ, "answers")
            while task.status is None or task.open:
                for key, _ in selector.select(timeout=0.5):
                    if key.data == "answers":
                        self._read_answers(task)
                    elif not self._read_events(task):
                        selector.unregister(task.events)
                if task.status is not None and task.open and not _readable(task.events):
                    break  # a grandchild holds the pipe open: what the worker had to say has been read
                if task.deadline is not None and time.monotonic() > task.deadline and not task.timed_out:
                    task.timed_out = True
                    self._kill(task)
        self._conclude(task)

    def _read_answers(self, task: _Task) -> None:
        assert self._control is not None
        data = self._control.recv(65536)
        if not data:
            raise ServerError(self._epitaph())
        *lines, self._answers = (self._answers + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if answer["number"] == task.number:
                task.pid = answer.get("pid", task.pid)
                task.status = answer.get("status", task.status)

    def _read_events(self, task: _Task) -> bool:
        """Read what the worker wrote; False when it has closed its end."""
        data = os.read(task.events, 65536)
        *lines, task.buffer = (task.buffer + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            match event["event"]:
                case "result":
                    task.outcome.value = event["value"]
                case "error":
                    task.outcome.kind, task.outcome.traceback = event["kind"], event["traceback"]
                    plain = event["type"] in ("InputError", "OptionError", "PluginError", "SystemExit")
                    task.outcome.reason = event["reason"] if plain else f"{event['type']}: {event['reason']}"
                case "stage":
                    task.outcome.stage = event["stage"]
                    task.on_event(event)
                case _:
                    task.on_event(event)
        if not data:
            os.close(task.events)
            task.open = False
        return task.open

    def _conclude(self, task: _Task) -> None:
        outcome = task.outcome
        if task.timed_out:
            outcome.value, outcome.reason = None, "timed out"
        elif not outcome.ok and not outcome.reason:
            outcome.reason = _death(task.status)
        task.log.seek(max(0, task.log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
        outcome.log_tail = task.log.read().decode(errors="replace")

    def _kill(self, task: _Task) -> None:
        if task.pid is not None and task.status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(task.pid, signal.SIGKILL)

    def _epitaph(self) -> str:
        code = self._process.poll() if self._process else None
        return f"the worker server has died (exit code {code}); its message stands above"


def _readable(descriptor: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(timeout=0))


def _death(status: int | None) -> str:
    if status is None or status >= 0:
        return f"the process ended with exit code {status} and said nothing"
    name = signal.Signals(-status).name
    hint = "; out of memory?" if name == "SIGKILL" else ""
    return f"the process was killed by {name}{hint}"
