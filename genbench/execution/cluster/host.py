"""The fork server of one worker, in which its cells run under the same limits as elsewhere."""

from __future__ import annotations

import contextlib
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, InputError
from genbench.execution.cluster.allocator import training_environment
from genbench.execution.cluster.hosted import Hosted, failed
from genbench.execution.cluster.throttle import Throttle
from genbench.execution.cluster.vetting import Shipment, differing_models
from genbench.execution.limits import Limits
from genbench.execution.local import ForkServer, ServerError
from genbench.plugin.visible import wording

__all__ = ["Host"]

TURN_S = 0.1  # between checks for new requests
FOLLOWING_S = 0.5  # between checks that the requester is still there
IDLE_S = 60.0  # of idle time, after which the server ends
KEPT_S = 3600.0  # for which an answer is kept if its requester has gone


class Host(threading.Thread):
    """The fork server of one worker. It is started by this thread, which lives as long as the worker.

    Args:
        folder: of the worker, for files.
        tell: publishes a message under a topic.
    """

    def __init__(self, folder: Path, tell: Callable[[str, dict[str, Any]], None]) -> None:
        super().__init__(name="genbench", daemon=True)
        self.folder = Path(tempfile.mkdtemp(dir=folder, prefix="genbench-"))
        self._tell = tell
        self._asked: queue.SimpleQueue[Callable[[ForkServer], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._all: dict[str, Hosted] = {}
        self._running: dict[int, Hosted] = {}
        self._delayed: list[Callable[[ForkServer], None]] = []  # starts that wait for a GPU
        self._closing = False

    def run(self) -> None:
        """Serve until the worker is closed; the fork server exists only while there are tasks."""
        while not self._closing:
            asked = self._asked.get()
            if asked is None:
                continue
            try:
                with ForkServer(environment=training_environment()) as server:
                    asked(server)
                    self._serve(server)
            except Exception as error:  # the server has died, or the disk is full: no cell may wait for ever
                for each in self._each_running():
                    each.end({"lost": wording(error)})
        for each in self._each_running():
            each.end({"lost": "the worker was closed"})
        shutil.rmtree(self.folder, ignore_errors=True)

    def _serve(self, server: ForkServer) -> None:
        idle_since, leaving = time.monotonic(), False
        while not self._closing:
            with contextlib.suppress(queue.Empty):
                asked = self._asked.get(block=not self._running, timeout=TURN_S)
                leaving = asked is None
                if asked is not None:
                    asked(server)
                    continue
            if leaving and not self._running:
                return
            for task in server.wait(TURN_S):
                each = self._running.pop(task.number)
                each.end(each.answer_of(task.outcome))
                delayed, self._delayed = self._delayed, []
                for start in delayed:
                    start(server)
            if self._running:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > IDLE_S:
                return

    def _each_running(self) -> list[Hosted]:
        with self._lock:
            left = [each for each in self._all.values() if not each.ended.is_set()]
        self._running.clear()
        self._delayed.clear()
        return left

    def follow(self, asked: Mapping[str, Any], is_wanted: Callable[[], bool]) -> dict[str, Any]:
        """Start the requested task, or follow it if it is already running; return how it ended.

        If it is no longer wanted, it continues to run, in case it is requested again.
        """
        with self._lock:
            self._forget_old()
            each = self._all.get(asked["key"])
            if each is None:
                cell_id = asked["payload"]["id"] if asked["task"] == "run_cell" else None
                each = Hosted(asked["key"], Path(tempfile.mkdtemp(dir=self.folder)), cell_id)
                self._all[each.key] = each
                self._asked.put(lambda server: self._start(each, asked, server))
            each.topic = asked["topic"]
        while not each.ended.wait(FOLLOWING_S):
            if not is_wanted():
                return {}
        if "files" not in each.answer:  # a failed task runs again when it is requested again
            with self._lock:
                self._all.pop(each.key, None)
        return each.answer

    def _forget_old(self) -> None:
        now = time.monotonic()
        for key, each in list(self._all.items()):
            if each.ended.is_set() and now - each.ended_at > KEPT_S:
                del self._all[key]

    def _start(self, each: Hosted, asked: Mapping[str, Any], server: ForkServer) -> None:
        if not each.wanted:
            return
        if asked["task"] == "run_cell" and asked["slots"] is not None:
            each.slot = self._free_slot(asked)
            if each.slot is None:
                self._delayed.append(lambda server: self._start(each, asked, server))
                return
        throttle = Throttle()

        def on_event(event: dict[str, Any]) -> None:
            if throttle.passes(event, time.monotonic()):
                self._tell(each.topic, {"key": each.key, "event": event})

        try:
            payload = each.placed(asked)
        except (GenbenchError, OSError) as error:
            each.end(failed(str(error), "input" if isinstance(error, InputError) else "failure"))
            return
        log = each.folder / "log" if asked["task"] == "run_cell" else None
        try:
            each.running = server.start(asked["task"], payload, on_event, log, Limits(**asked["limits"]))
        except OSError as error:  # its log cannot be created
            each.end(failed(f"it cannot be started on its worker: {error.strerror}"))
            return
        except ServerError as error:
            each.end({"lost": str(error)})
            raise
        self._running[each.running.number] = each

    def _free_slot(self, asked: Mapping[str, Any]) -> int | None:
        """Return the slot of the GPUs for a cell: the one asked for unless another run's cell is there; None for none.

        The runs of two users, and what a killed run has left, do not know of each other; this worker knows of all.
        """
        first, slots = asked["slots"]
        taken = {each.slot for each in self._running.values()}
        wished = [asked["payload"]["slot"], *range(first, first + slots)]
        return next((slot for slot in wished if slot not in taken), None)

    def unpack(self, shipments: Sequence[Shipment]) -> list[str]:
        """Write the files of the models sent along; return how the models here differ from them."""
        for each in shipments:
            each.unpack(self.folder / each.key)
        return differing_models(shipments, self.folder)

    def keys(self) -> list[str]:
        """Return the keys of running tasks, and of ended ones that are not yet forgotten."""
        with self._lock:
            return list(self._all)

    def end(self, keys: Sequence[str]) -> None:
        """End and forget these tasks, and end the server if nothing else runs. Returns immediately."""
        with self._lock:
            for key in keys:
                each = self._all.pop(key, None)
                if each is not None:
                    each.wanted = False
                    if each.running is not None and not each.ended.is_set():
                        each.running.kill()
        self._asked.put(None)

    def ask_to_end(self, keys: Sequence[str]) -> list[str]:
        """Ask the tasks with these keys to end with a checkpoint; return the keys found here. Returns immediately."""
        with self._lock:
            here = [self._all[key] for key in keys if key in self._all]
        if any(not each.ended.is_set() for each in here):  # otherwise a server would be started for this
            self._asked.put(lambda server: _ask_to_end(here))
        return [each.key for each in here]

    def close(self) -> None:
        """End everything."""
        self._closing = True
        self._asked.put(None)
        self.join(timeout=10)


def _ask_to_end(all_: Sequence[Hosted]) -> None:
    for each in all_:
        if each.running is not None and not each.ended.is_set():
            each.running.ask_to_end()
