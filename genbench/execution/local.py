"""Runs tasks in worker processes on this machine, without importing torch into the process that shows progress."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import selectors
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from genbench.errors import GenbenchError
from genbench.execution.executor import FoundModel
from genbench.execution.limits import UNLIMITED, Limits, Watch
from genbench.execution.running import Outcome, Running, death

__all__ = ["ForkServer", "Outcome", "Running", "ServerError"]

PATIENCE_S = 0.1  # between checks of the limits
LAST_WAIT_S = 5.0  # for a server that has gone silent to end
REMEDY = "Finished cells are safe; fix this and repeat the command to resume"


class ServerError(GenbenchError):
    """The fork server could not be started or has died."""


class ForkServer:
    """A server process that has imported torch, and the workers forked from it: the executor for this machine.

    Args:
        jobs: cells that run side by side; each gets its share of the cores, or one of the GPUs in turn.
        environment: of the server and its cells; None passes on that of this process.
    """

    def __init__(self, jobs: int = 1, environment: Mapping[str, str] | None = None) -> None:
        self._jobs = jobs
        self._environment = environment
        self._slots: dict[int, int] = {}  # of the running cells, by number
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._answers = b""
        self._running: dict[int, Running] = {}
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> ForkServer:
        own, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _spawn(theirs.fileno(), self._environment)
            except OSError as error:
                own.close()
                raise ServerError(f"the worker server cannot be started: {error.strerror}. {REMEDY}") from error
        self._control = own
        self._selector.register(own, selectors.EVENT_READ)
        return self

    def __exit__(self, *_: object) -> None:
        for task in self._running.values():
            task.kill()
            task.close()
            task.log.close()
        self._running.clear()
        self._slots.clear()
        if self._control is not None:
            self._control.close()  # the server notices, ends its workers, and exits
        if self._process is not None:
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._selector.close()

    def prepare(self, models: Sequence[FoundModel]) -> None:
        """Do nothing: a worker here runs the code that was found here."""

    def free(self) -> int:
        """Return how many of the `jobs` are free."""
        return self._jobs - len(self._slots)

    def start_cell(
        self,
        payload: dict[str, Any],
        on_event: Callable[[dict[str, Any]], None],
        log: Path,
        limits: Limits,
        held: Sequence[int],
    ) -> Running:
        """Start one cell in the first free slot; see `Executor.start_cell`."""
        slot = min(set(range(self._jobs)) - set(self._slots.values()))
        placed = {**payload, "jobs": self._jobs, "slot": slot}
        running = self.start("run_cell", placed, on_event, log, limits, held)
        self._slots[running.number] = slot
        return running

    def run(
        self,
        task: str,
        payload: dict[str, Any],
        on_event: Callable[[dict[str, Any]], None] = lambda event: None,
        limits: Limits = UNLIMITED,
    ) -> Outcome:
        """Run one task in a worker, pass its events to `on_event`, and return how it ended; a failure never raises."""
        running = self.start(task, payload, on_event, limits=limits)
        while not running.ended:
            self.wait()
        return running.outcome

    def start(
        self,
        task: str,
        payload: dict[str, Any],
        on_event: Callable[[dict[str, Any]], None] = lambda event: None,
        log: Path | None = None,
        limits: Limits = UNLIMITED,
        held: Sequence[int] = (),
    ) -> Running:
        """Start one task; `wait` follows it.

        Args:
            log: the file for the output of the worker; a temporary file by default.
            held: file descriptors that the worker keeps open throughout its life, such as that of a lock.
        """
        assert self._control is not None, "enter the context first"
        number = next(self._numbers)
        text = json.dumps({"number": number, "task": task, "payload": payload}).encode()
        output = _open_log(log)
        try:
            read, write = os.pipe()
        except OSError as error:
            output.close()
            raise ServerError(f"{task}: no pipe can be created: {error.strerror}. {REMEDY}") from error
        try:
            socket.send_fds(self._control, [struct.pack("!I", len(text))], [write, output.fileno(), *held])
            self._control.sendall(text)
        except OSError as error:
            os.close(read)
            output.close()
            raise ServerError(self._epitaph()) from error
        finally:
            os.close(write)
        running = Running(number, read, output, on_event, Watch(limits))
        self._running[number] = running
        self._selector.register(read, selectors.EVENT_READ, running)
        return running

    def wait(self, timeout: float | None = None) -> list[Running]:
        """Follow the running tasks until one ends or `timeout` seconds have passed; return those that have ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        ended: list[Running] = []
        while not ended and self._running and (deadline is None or time.monotonic() < deadline):
            for key, _ in self._selector.select(PATIENCE_S):
                if key.data is None:
                    self._read_answers()
                    continue
                task: Running = key.data
                if not task.read_events(time.monotonic()):
                    self._selector.unregister(key.fd)
            for task in list(self._running.values()):
                task.look(time.monotonic())
                if task.is_over():
                    self._conclude(task)
                    ended.append(task)
        return ended

    def ask_to_end(self, grace_s: float, asked: Callable[[], None]) -> None:
        """Ask every task to end (SIGTERM); see `Executor.ask_to_end`."""
        asked()
        deadline = time.monotonic() + grace_s
        for task in self._running.values():
            task.ask_to_end()
        while self._running and (left := deadline - time.monotonic()) > 0:
            self.wait(left)

    def _conclude(self, task: Running) -> None:
        with contextlib.suppress(KeyError):  # an interrupt came between this line and the next in an earlier call
            if task.is_open:
                self._selector.unregister(task.events)
        task.conclude()
        del self._running[task.number]
        self._slots.pop(task.number, None)

    def _read_answers(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(65536)
        except ConnectionError:  # it was killed before it had read the whole request
            data = b""
        if not data:
            raise ServerError(self._epitaph())
        *lines, self._answers = (self._answers + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["number"] in self._running:
                self._running[message["number"]].answer(message, time.monotonic())

    def _epitaph(self) -> str:
        assert self._process is not None, "enter the context first"
        try:
            code = self._process.wait(LAST_WAIT_S)
        except subprocess.TimeoutExpired:
            return f"the worker server no longer answers. {REMEDY}"
        shown = "; its message is above" if code > 0 else ""
        return f"the worker server {death(code)}{shown}. {REMEDY}"


def _spawn(control: int, environment: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    """Start the server process, which takes requests through the socket `control`."""
    # A separate session shields the workers from a keyboard interrupt: the parent ends them.
    return subprocess.Popen(
        [sys.executable, "-m", "genbench.execution.server", str(control)],
        pass_fds=[control],
        env=environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )


def _open_log(path: Path | None) -> BinaryIO:
    """Open a log for appending, so that either side may shorten it; output of an earlier attempt is dropped."""
    if path is None:
        return tempfile.TemporaryFile("a+b")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return open(path, "a+b")
