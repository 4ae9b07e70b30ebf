"""`DaskExecutor`: runs cells on the workers of a Dask cluster, controlled by the process that shows progress."""

from __future__ import annotations

import contextlib
import os
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError
from genbench.execution.cluster.address import Address
from genbench.execution.cluster.admission import Admission
from genbench.execution.cluster.connection import differences, probe, refuse
from genbench.execution.cluster.dispatch import Dispatch
from genbench.execution.cluster.link import Link
from genbench.execution.cluster.pool import Pool
from genbench.execution.cluster.sent import Sent
from genbench.execution.executor import FoundModel, OnEvent
from genbench.execution.limits import UNLIMITED, Limits
from genbench.execution.local import REMEDY
from genbench.execution.running import Outcome
from genbench.machine import atomic

__all__ = ["DaskExecutor"]

TURN_S = 0.5  # between checks of the connection


class DaskExecutor:
    """The workers of one Dask cluster.

    Args:
        address: of its scheduler.
        shared: the folder in which workers keep checkpoints, or None.
        fresh: whether a cell starts from scratch even if another run of it is in progress or has left a checkpoint.
        tell: shows a line to the user.
        device: that cells ask for, as in `Settings`.
        ranks: how many of these devices each cell takes.
    """

    def __init__(
        self,
        address: Address,
        shared: str | None,
        fresh: bool,
        tell: Callable[[str], None],
        device: str = "auto",
        ranks: int = 1,
    ) -> None:
        self._tell = tell
        self._shared = None if shared is None else str(Path(os.path.expanduser(shared)).absolute())
        self._link = Link(address)
        self._pool = Pool(device, ranks)
        self._dispatch = Dispatch(self._link, self._pool, self._shared, fresh)
        self._admission = Admission(self._link, self._pool, self._dispatch, self._shared, tell)

    def __enter__(self) -> DaskExecutor:
        self._link.open()
        if (warning := self._link.address.warning) is not None:
            self._tell(warning)
        try:
            self._link.listen()
            self._admission.await_workers()
            probe(self._link.client)
        except BaseException:
            self._link.client.close()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        if _cannot_write(raised[1]):
            self._tell(
                "the cells on the workers continue; the same command, within an hour of their end, collects them"
            )
            self._link.leave()
            return
        self._dispatch.cancel()
        self._link.close(sorted(self._dispatch.keys))
        if self._shared is not None:
            atomic.sweep(Path(self._shared))

    def prepare(self, models: Sequence[FoundModel]) -> None:
        """Check that every worker meets the requirements of the benchmark."""
        self._admission.prepare(models)

    def run(
        self, task: str, payload: dict[str, Any], on_event: OnEvent = lambda event: None, limits: Limits = UNLIMITED
    ) -> Outcome:
        """Run one check on a worker; a check of data runs on every worker, since all must have the same data."""
        places = [place for place in self._pool.places.values() if place.ready]
        places = places if task == "check_data" else places[:1]
        sent = []
        for index, place in enumerate(places):
            follow = on_event if index == 0 else lambda event: None
            each = Sent(next(self._dispatch.numbers), task, payload, follow, limits, pinned=True)
            self._dispatch.send(each, place, 0)
            sent.append(each)
        while not all(each.ended for each in sent):
            self._turn(TURN_S)
        pairs = zip(places, sent, strict=True)
        told = {place.address: each.outcome for place, each in pairs if self._admission.is_there(place)}
        if not told:
            raise GenbenchError(f"no worker of {self._link.address.scheduler} is left. {REMEDY}")
        return self._compared(payload, told) if task == "check_data" else sent[0].outcome

    def _compared(self, payload: dict[str, Any], outcomes: Mapping[str, Outcome]) -> Outcome:
        """Return the workers' common answer about the data; raise `InputError` if they disagree."""
        first = next((each for each in outcomes.values() if each.ok), next(iter(outcomes.values())))
        lines = []
        for address, outcome in outcomes.items():
            if not outcome.ok and (first.ok or outcome.reason != first.reason):
                lines.append(f"{address}: {payload['dataset']}: {outcome.reason}")
            elif outcome.value != first.value:
                lines.append(f"{address}: {payload['dataset']}: {differences(first.value, outcome.value)}")
        refuse(lines)
        if first.value is not None:
            self._admission.check_device(str(first.value.get("device", "")))
            self._admission.remember(payload, first.value)
        return first

    def free(self) -> int:
        """Return how many cells the workers could take in addition to those that wait for a worker."""
        return max(0, self._pool.free() - self._dispatch.waiting())

    def start_cell(
        self, payload: dict[str, Any], on_event: OnEvent, log: Path, limits: Limits, held: Sequence[int]
    ) -> Sent:
        """Send one cell to the worker with most room, or to the one on which an earlier run left it running."""
        sent = Sent(next(self._dispatch.numbers), "run_cell", payload, on_event, limits, log)
        found = self._admission.hosted.pop(self._dispatch.key(sent), None)
        place = self._pool.places.get(found or "")
        if place is None or not place.has_room():
            place = self._pool.roomiest()
        assert place is not None, "there must be a free place"
        self._dispatch.send(sent, place, place.take(sent.number))
        return sent

    def ask_to_end(self, grace_s: float, asked: Callable[[], None]) -> None:
        """Make workers ask their cells to end; see `Executor.ask_to_end`.

        Without a shared folder this does nothing: a checkpoint would be lost with its worker's folder.
        """
        cells = [*self._dispatch.cells().values()]
        if self._shared is None or not cells:
            return
        asked()
        deadline = time.monotonic() + grace_s
        ending = self._dispatch.ask_to_end(cells)
        while not all(sent.ended for sent in ending) and (left := deadline - time.monotonic()) > 0:
            self._turn(min(TURN_S, left))

    def wait(self, timeout: float | None = None) -> list[Sent]:
        """Follow all cells; see `Executor.wait`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        running = self._dispatch.cells()
        free = self.free()
        while True:
            self._admission.admit_late()  # not during data checks: late workers must pass all of them
            left = TURN_S if deadline is None else min(TURN_S, deadline - time.monotonic())
            self._turn(max(0.0, left))
            ended = [sent for sent in running.values() if sent.ended]
            if ended or self.free() > free or (deadline is not None and time.monotonic() >= deadline):
                return ended

    def _turn(self, timeout: float) -> None:
        """Process all pending messages, waiting up to `timeout` seconds for the first."""
        with contextlib.suppress(queue.Empty):
            kind, message = self._link.inbox.get(timeout=timeout)
            while True:
                self._take(kind, message)
                kind, message = self._link.inbox.get_nowait()
        self._link.check()
        self._admission.refresh_if_due()
        self._dispatch.place_homeless()

    def _take(self, kind: str, message: Any) -> None:
        if kind == "event":
            self._dispatch.tell(message)
        elif kind == "done":
            self._dispatch.done(*message)
        elif kind == "vetted":
            self._admission.come_late(*message)
        elif isinstance(message, dict) and message.get("action") == "remove-worker":
            self._admission.lose(str(message.get("worker")))
        elif isinstance(message, dict) and message.get("action") == "add-worker":
            self._admission.refresh()


def _cannot_write(error: object) -> bool:
    """Whether results cannot be written here, as on a full disk: then none that a worker has may be given up."""
    failures = (error, getattr(error, "__cause__", None))
    return any(isinstance(each, OSError) and not isinstance(each, BrokenPipeError) for each in failures)
