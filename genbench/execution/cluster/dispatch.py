"""Sends tasks to workers and receives their answers; a task that loses its worker is sent to another."""

from __future__ import annotations

import hashlib
import itertools
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from distributed import Future

from genbench.errors import shortened
from genbench.execution.cluster import hosting, parcels
from genbench.execution.cluster.link import Link
from genbench.execution.cluster.pool import Place, Pool
from genbench.execution.cluster.sent import MOST_ATTEMPTS, Sent
from genbench.execution.cluster.vetting import Shipment
from genbench.execution.executor import FoundModel
from genbench.execution.messages import is_report
from genbench.execution.running import Outcome
from genbench.machine import atomic
from genbench.machine.privacy import without_paths
from genbench.plugin.visible import wording

__all__ = ["FETCH_S", "Dispatch"]

FETCH_S = 5.0  # for one answer; its worker may leave in the meantime


class Dispatch:
    """All tasks of one run.

    Args:
        link: the connection that carries them.
        pool: the available workers.
        shared: the folder in which workers keep checkpoints, or None.
        fresh: whether a cell starts from scratch even if another run of it is in progress or has left a checkpoint.
    """

    def __init__(self, link: Link, pool: Pool, shared: str | None, fresh: bool) -> None:
        self._link = link
        self._pool = pool
        self._shared = shared
        self._fresh = fresh
        self._models: dict[str, Shipment] = {}
        self._sent: dict[str, Sent] = {}  # those that have not ended, by key
        self._homeless: list[Sent] = []  # those of them that lost their worker
        self.keys: set[str] = set()  # of all tasks of this run
        self.numbers = itertools.count()

    def take_models(self, models: Sequence[FoundModel]) -> list[Shipment]:
        """Register the models of the cells; return them in the form in which they are sent."""
        self._models = {_model_key(each.spec.name, each.spec.options): Shipment.of(each) for each in models}
        return [*self._models.values()]

    def cells(self) -> dict[int, Sent]:
        """Return the cells that have not ended, by number."""
        return {sent.number: sent for sent in self._sent.values() if sent.task == "run_cell"}

    def waiting(self) -> int:
        """Return how many tasks wait for a worker."""
        return len(self._homeless)

    def key(self, sent: Sent) -> str:
        """Return the key of a task on its worker; for a cell, it is the same in every run of the benchmark."""
        if sent.task != "run_cell" or self._fresh:
            return f"{self._link.token}-{sent.number}"
        where = f"{socket.gethostname()}\0{sent.payload['directory']}"
        return f"{hashlib.sha256(where.encode()).hexdigest()[:12]}-{sent.payload['id']}"

    def send(self, sent: Sent, place: Place, slot: int) -> None:
        """Send a task to a worker; a cell goes to one of its slots."""
        payload = sent.payload
        if sent.task == "run_cell":
            command = without_paths(payload["command"])
            jobs = self._pool.side_by_side(place)
            payload = {**payload, "covered": None, "command": command, "slot": slot, "jobs": jobs}
        key = self.key(sent)
        cell = payload.get("cell", payload)
        model = self._models.get(_model_key(cell["model"]["name"], cell["model"]["options"]))
        asked = {
            "key": key,
            "task": sent.task,
            "payload": payload,
            "limits": asdict(sent.limits),
            "topic": self._link.topic,
            # Its files came with the check of the worker; a thousand cells must not send them a thousand times.
            "model": model and replace(model, files={}),
            "shared": self._shared,
            "anew": self._fresh and not sent.lost_on,
            "slots": (place.first, place.slots) if place.by_gpu else None,
        }
        self.keys.add(key)
        self._sent[key], sent.place = sent, place
        name = f"{key}-{self._link.token}-{sent.number}-{len(sent.lost_on)}"
        sent.future = self._link.submit(hosting.work, asked, place, name, place.resources)
        sent.future.add_done_callback(lambda future: self._link.inbox.put(("done", (key, future))))

    def tell(self, message: Any) -> None:
        """Pass an event to the function that follows its task; anything else than an event of a task is dropped."""
        key, event = (message.get("key"), message.get("event")) if isinstance(message, dict) else (None, None)
        sent = self._sent.get(key) if isinstance(key, str) else None
        if sent is None or not isinstance(event, dict):
            return
        event = {name: [*value] if isinstance(value, tuple) else value for name, value in event.items()}  # Dask's lists
        if is_report(event):
            sent.on_event(event)

    def done(self, key: str, future: Future[Any]) -> None:
        """Process the answer of a task, or note that none arrived."""
        sent = self._sent.get(key)
        if sent is None or sent.future is not future:
            return  # from an attempt that was given up
        if future.status == "cancelled":
            self._link.check()
        try:
            answer = future.result(timeout=FETCH_S)
        except TimeoutError:  # its worker may be gone, and a message about that on its way
            self._link.inbox.put(("done", (key, future)))
            return
        except Exception as error:  # whatever Dask or the worker raised
            self._link.check()
            self._lost(sent, f"could not run it ({shortened(wording(error), 300)})")
            return
        self._answered(sent, answer)

    def _answered(self, sent: Sent, answer: Any) -> None:
        if isinstance(answer, dict) and "lost" in answer:
            self._lost(sent, f"has lost it: {shortened(str(answer['lost']), 300)}")
            return
        assert sent.place is not None
        sent.place.leave(sent.number)
        try:
            outcome = sent.read(answer)
            if sent.log is not None:
                atomic.write_bytes(sent.log, answer["log"])
            if outcome.ok and sent.task == "run_cell":
                parcels.unpack(answer, Path(sent.payload["directory"]), sent.payload["id"])
        except parcels.ParcelError as error:
            outcome = Outcome(reason=str(error))
        self._conclude(sent, outcome)

    def _conclude(self, sent: Sent, outcome: Outcome) -> None:
        sent.outcome, sent.ended = outcome, True
        self._sent.pop(self.key(sent), None)
        if sent.on_answer is not None and sent.place is not None:
            sent.on_answer(outcome)

    def lose(self, address: str) -> None:
        """Reassign the tasks of a lost worker."""
        for sent in [each for each in self._sent.values() if each.place is not None and each.place.address == address]:
            self._lost(sent, "was lost")

    def _lost(self, sent: Sent, how: str) -> None:
        """Note that a worker did not finish a task, and queue it for another unless this was the last attempt."""
        assert sent.place is not None
        sent.lost_on.append(sent.place.address)
        sent.place.leave(sent.number)
        if sent.future is not None:
            sent.future.cancel()
        sent.place = sent.future = None
        count = len(sent.lost_on)
        if sent.pinned or sent.killed:
            self._conclude(sent, Outcome(reason=f"its worker {sent.lost_on[-1]} {how}"))
        elif count >= MOST_ATTEMPTS:
            where = ", ".join(sent.lost_on)
            reason = f"its worker {how} {count} times while the cell ran there ({where}): the cell may be what kills it"
            self._conclude(sent, Outcome(reason=reason))
        else:
            attempt = f"attempt {count + 1} of {MOST_ATTEMPTS}"
            text = f"its worker {sent.lost_on[-1]} {how}; it runs again on another ({attempt})"
            sent.on_event({"event": "notice", "text": text})
            self._homeless.append(sent)

    def place_homeless(self) -> None:
        """Send tasks that have lost their worker to others, as far as these have room."""
        while self._homeless and (place := self._pool.roomiest()) is not None:
            sent = self._homeless.pop(0)
            self.send(sent, place, place.take(sent.number))

    def ask_to_end(self, asked: Sequence[Sent]) -> list[Sent]:
        """Ask cells to end with a checkpoint, and resend none; return those that were reached."""
        self._homeless.clear()
        placed = {self.key(sent): sent for sent in asked if sent.place is not None}
        for sent in placed.values():
            sent.killed = True  # a cell that loses its worker from now on is not sent to another
        workers = {sent.place.address for sent in placed.values() if sent.place is not None}
        reached = self._link.ask_to_end([*placed], sorted(workers)) if workers else set()
        return [sent for key, sent in placed.items() if key in reached]

    def cancel(self) -> None:
        """Cancel all tasks that have not ended."""
        for sent in self._sent.values():
            if sent.future is not None:
                sent.future.cancel()
        self._sent.clear()


def _model_key(name: str, options: Mapping[str, Any]) -> str:
    return repr((name, sorted(options.items())))
