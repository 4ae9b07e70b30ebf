"""What runs on a worker of a cluster: a fork server, in which its cells run with the limits that they have anywhere."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from genbench.errors import GenbenchError, InputError
from genbench.execution.cluster import parcels
from genbench.execution.cluster.vetting import Shipment, differing_models, differing_software, found_here, unwritable
from genbench.execution.limits import Limits
from genbench.execution.local import ForkServer, ServerError
from genbench.execution.running import Outcome, Running
from genbench.machine.privacy import without_paths
from genbench.records.record import checkpoint_path

__all__ = ["Host", "Throttle", "end", "hosted", "vet", "work"]

NAME = "genbench"  # among the plugins of the worker
TURN_S = 0.1  # between looks at what is asked
FOLLOWING_S = 0.5  # between looks whether the one who asked is still there
IDLE_S = 60.0  # without anything to do, after which the server ends
KEPT_S = 3600.0  # for which the answer to one who has gone is kept
EVENT_INTERVAL_S = 1.0  # between two events of a kind; the network is shared by all cells
BURST = {"stage": 50, "notice": 50}  # of these so many come at once


class Throttle:
    """Lets of each kind of event pass no more than a network and an eye can follow, by its caller's clock (seconds)."""

    def __init__(self) -> None:
        self._passed: dict[str, int] = {}
        self._last: dict[str, float] = {}

    def passes(self, event: Mapping[str, Any], now: float) -> bool:
        """Return whether an event that comes `now` is passed on."""
        kind = event["event"]
        if kind == "points":  # whoever tells them sees to it that they are few; none may be missing
            return True
        due = now - self._last.get(kind, -EVENT_INTERVAL_S) >= EVENT_INTERVAL_S
        if not due and self._passed.get(kind, 0) >= BURST.get(kind, 0):
            return False
        self._passed[kind] = self._passed.get(kind, 0) + 1
        self._last[kind] = now
        return True


@dataclass
class Hosted:
    """One task on this worker; `answer` is complete once it has `ended`."""

    key: str
    folder: Path
    answer: dict[str, Any] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    ended_at: float = 0.0
    running: Running | None = None
    topic: str = ""  # on which whoever follows it listens
    wanted: bool = True

    def end(self, answer: dict[str, Any]) -> None:
        """Say how it ended."""
        self.answer, self.ended_at = answer, time.monotonic()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.ended.set()


class Host(threading.Thread):
    """The fork server of one worker. It is started by this thread, which lives as long as the worker does.

    Args:
        folder: of the worker, for what it has to write.
        tell: takes a topic and a message for whoever listens to that.
    """

    def __init__(self, folder: Path, tell: Callable[[str, dict[str, Any]], None]) -> None:
        super().__init__(name="genbench", daemon=True)
        self.folder = Path(tempfile.mkdtemp(dir=folder, prefix="genbench-"))
        self._tell = tell
        self._asked: queue.SimpleQueue[Callable[[ForkServer], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._all: dict[str, Hosted] = {}
        self._running: dict[int, Hosted] = {}
        self._closing = False

    def run(self) -> None:
        """Serve until the worker is closed; a server is there only while there is something to do."""
        while not self._closing:
            asked = self._asked.get()
            if asked is None:
                continue
            try:
                with ForkServer() as server:
                    asked(server)
                    self._serve(server)
            except ServerError as error:
                for each in self._each_running():
                    each.end({"lost": str(error)})
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
                each.end(_answer(each, task.outcome))
            if self._running:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > IDLE_S:
                return

    def _each_running(self) -> list[Hosted]:
        with self._lock:
            left = [each for each in self._all.values() if not each.ended.is_set()]
        self._running.clear()
        return left

    def follow(self, asked: Mapping[str, Any], is_wanted: Callable[[], bool]) -> dict[str, Any]:
        """Start what is asked for, or go on following it where it runs already; return how it ended.

        Where nobody wants it any more it runs on, for whoever comes back to it.
        """
        with self._lock:
            self._forget_old()
            each = self._all.get(asked["key"])
            if each is None:
                each = Hosted(asked["key"], Path(tempfile.mkdtemp(dir=self.folder)))
                self._all[each.key] = each
                self._asked.put(lambda server: self._start(each, asked, server))
            each.topic = asked["topic"]
        while not each.ended.wait(FOLLOWING_S):
            if not is_wanted():
                return {}
        if "files" not in each.answer:  # what failed runs again when it is asked for again
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
        throttle = Throttle()

        def on_event(event: dict[str, Any]) -> None:
            if throttle.passes(event, time.monotonic()):
                self._tell(each.topic, {"key": each.key, "event": event})

        try:
            payload = self._placed(each, asked)
        except (GenbenchError, OSError) as error:
            each.end(_failed(str(error), "input" if isinstance(error, InputError) else "failure"))
            return
        log = each.folder / "log" if asked["task"] == "run_cell" else None
        try:
            each.running = server.start(asked["task"], payload, on_event, log, Limits(**asked["limits"]))
        except ServerError as error:
            each.end({"lost": str(error)})
            raise
        self._running[each.running.number] = each

    def _placed(self, each: Hosted, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the payload of a task with what lies elsewhere on this machine: folders, and the model's code."""
        payload = dict(asked["payload"])
        shipment: Shipment | None = asked["model"]
        if asked["task"] != "check_data" and shipment is not None:
            folder = self.folder / shipment.key
            found, covered, own = found_here(shipment, folder)
            cell = payload["cell"]
            payload["cell"] = {**cell, "model": {**cell["model"], "name": shipment.spec(folder).name}}
            if own.source_sha256 != shipment.source_sha256:
                raise InputError(f"{found}: its source here is not that of the cell; run the same command again")
            if asked["task"] == "run_cell":
                payload["covered"] = covered and covered.to_json()
        if asked["task"] == "run_cell":
            payload["directory"] = str(each.folder)
            if asked["shared"] is not None:
                checkpoints = Path(asked["shared"]) / "checkpoints"
                checkpoints.mkdir(parents=True, exist_ok=True)
                (each.folder / "checkpoints").symlink_to(checkpoints)
                if asked["anew"]:
                    checkpoint_path(each.folder, payload["id"]).unlink(missing_ok=True)
        return payload

    def unpack(self, shipments: Sequence[Shipment]) -> list[str]:
        """Write the files of the models that are sent along; return how models here differ from those."""
        for each in shipments:
            each.unpack(self.folder / each.key)
        return differing_models(shipments, self.folder)

    def keys(self) -> list[str]:
        """Return what runs here, and what has ended and was not forgotten."""
        with self._lock:
            return list(self._all)

    def end(self, keys: Sequence[str]) -> None:
        """End and forget these, and the server where nothing else runs. Returns at once."""
        with self._lock:
            for key in keys:
                each = self._all.pop(key, None)
                if each is not None:
                    each.wanted = False
                    if each.running is not None and not each.ended.is_set():
                        each.running.kill()
        self._asked.put(None)

    def close(self) -> None:
        """End everything."""
        self._closing = True
        self._asked.put(None)
        self.join(timeout=10)


class Hosting(WorkerPlugin):
    """What closes a host together with its worker."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def teardown(self, worker: Worker) -> None:
        """End everything, as the worker closes."""
        self.host.close()


def _answer(each: Hosted, outcome: Outcome) -> dict[str, Any]:
    """Return what whoever asked is told: plain values and bytes."""
    told = {
        "value": outcome.value,
        "stage": outcome.stage,
        "kind": outcome.kind,
        **without_paths(
            {"reason": outcome.reason, "traceback": outcome.traceback, "log_tail": outcome.log_tail},
            each.folder.parent,
            each.folder,
        ),
    }
    log = each.folder / "log"
    answer: dict[str, Any] = {"outcome": told, "log": log.read_bytes() if log.is_file() else b""}
    if outcome.value is not None and log.is_file():
        try:
            answer |= parcels.pack(each.folder, str(outcome.value["id"]))
        except (OSError, ValueError, LookupError) as error:
            return _failed(f"what the cell left on its worker cannot be read: {error}")
    return answer


def _failed(reason: str, kind: str = "failure") -> dict[str, Any]:
    words = {"stage": "start", "kind": kind, "reason": reason, "traceback": "", "log_tail": ""}
    return {"outcome": {"value": None, **words}, "log": b""}


def work(asked: dict[str, Any]) -> dict[str, Any]:
    """Run one task of a benchmark on the worker that this is called on, as a Dask task; see `Host.follow`."""
    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled"

    return _host_of(worker).follow(asked, is_wanted)


def vet(wanted: dict[str, Any]) -> list[str]:
    """Return how this worker differs from what a benchmark needs, a line each; as a Dask task."""
    lines = differing_software(wanted["software"])
    if lines:  # what follows may not be understood
        return lines
    host = _host_of(get_worker())
    try:
        lines += host.unpack(wanted["models"])
    except (OSError, InputError) as error:
        lines.append(f"model files cannot be written to its folder: {error}")
    if wanted["shared"] is not None and (reason := unwritable(Path(wanted["shared"]))):
        lines.append(reason)
    return lines


def hosted(dask_worker: Worker) -> list[str]:
    """Return the keys of what runs on this worker; called in its event loop."""
    hosting = dask_worker.plugins.get(NAME)
    return hosting.host.keys() if isinstance(hosting, Hosting) else []


def end(keys: Sequence[str], dask_worker: Worker) -> None:
    """End what runs on this worker under these keys; called in its event loop."""
    hosting = dask_worker.plugins.get(NAME)
    if isinstance(hosting, Hosting):
        hosting.host.end(keys)


_making = threading.Lock()


def _host_of(worker: Worker) -> Host:
    """Return the worker's host, made for the first that asks; the worker ends it as one of its plugins."""
    with _making:
        hosting = worker.plugins.get(NAME)
        if not isinstance(hosting, Hosting) or not hosting.host.is_alive():
            os.makedirs(worker.local_directory, exist_ok=True)
            hosting = Hosting(Host(Path(worker.local_directory), worker.log_event))
            hosting.host.start()
            worker.plugins[NAME] = hosting
        return hosting.host
