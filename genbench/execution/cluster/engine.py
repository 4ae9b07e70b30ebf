"""`DaskExecutor`: cells on the workers of a Dask cluster, placed and followed from the process that shows progress."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import queue
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distributed import Client, Future

from genbench.errors import GenbenchError, InputError, shortened
from genbench.execution.cluster import hosting, parcels
from genbench.execution.cluster.address import Address
from genbench.execution.cluster.connection import connect, differences, probe, refuse
from genbench.execution.cluster.pool import Place, Pool
from genbench.execution.cluster.sent import MOST_ATTEMPTS, Sent
from genbench.execution.cluster.vetting import Shipment, software
from genbench.execution.executor import FoundModel, OnEvent
from genbench.execution.limits import UNLIMITED, Limits
from genbench.execution.local import REMEDY
from genbench.execution.running import Outcome
from genbench.machine import atomic
from genbench.machine.privacy import without_paths

__all__ = ["DaskExecutor"]

WORKERS_S = 8.0  # for a first worker to be there
EMPTY_S = 600.0  # for another to come, once all are gone
TURN_S = 0.5  # between looks at the connection
REFRESH_S = 10.0  # between looks at the list of workers, which its changes are told of anyway
VETTING_S = 120.0  # for a worker to say what it has
FETCH_S = 5.0  # for one answer; its worker may go meanwhile
END_S = 10.0  # for workers to end what runs, at the end


class DaskExecutor:
    """The workers of one Dask cluster.

    Args:
        address: of its scheduler.
        shared: the folder in which workers keep checkpoints, or None.
        fresh: whether a cell begins anew where another run of it is under way, or has left a checkpoint.
        tell: takes a line for the user.
    """

    def __init__(self, address: Address, shared: str | None, fresh: bool, tell: Callable[[str], None]) -> None:
        self._address = address
        self._shared = None if shared is None else str(Path(shared).expanduser().absolute())
        self._fresh = fresh
        self._tell = tell
        self._token = os.urandom(4).hex()
        self._topic = f"genbench-{self._token}"
        self._numbers = itertools.count()
        self._inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._pool = Pool()
        self._sent: dict[str, Sent] = {}  # that have not ended, by key
        self._homeless: list[Sent] = []  # of these, what lost its worker
        self._hosted: dict[str, str] = {}  # what an earlier run has left on workers: key -> worker
        self._models: dict[str, Shipment] = {}
        self._checks: list[tuple[dict[str, Any], dict[str, Any]]] = []  # what of the data, and what came of it
        self._keys: set[str] = set()  # all that this run has asked for
        self._late: list[tuple[Place, Future[Any]]] = []  # workers that came after the others were asked
        self._prepared = False
        self._refreshed = self._inhabited = 0.0
        self._client: Client

    def __enter__(self) -> DaskExecutor:
        for name in ("distributed", "tornado"):  # a lost connection is told here, in one line
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._client = connect(self._address)
        if (warning := self._address.warning) is not None:
            self._tell(warning)
        try:
            self._client.subscribe_topic(self._topic, lambda event: self._inbox.put(("event", event[1])))
            self._client.subscribe_topic("all", lambda event: self._inbox.put(("workers", event[1])))
            self._await_workers()
            probe(self._client)
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for sent in self._sent.values():
            if sent.future is not None:
                sent.future.cancel()
        with contextlib.suppress(Exception):  # a worker or the scheduler may be gone, or not answer
            self._client.unsubscribe_topic("all")  # else the scheduler would complain of a listener that has left
            self._client.sync(self._client._run, hosting.end, sorted(self._keys), callback_timeout=END_S)
        self._sent.clear()
        self._client.close(timeout=END_S)
        if self._shared is not None:
            atomic.sweep(Path(self._shared))

    def prepare(self, models: Sequence[FoundModel]) -> None:
        """Ask every worker whether it is as the benchmark needs it."""
        self._models = {_model_key(each.spec.name, each.spec.options): Shipment.of(each) for each in models}
        self._refresh()
        vetted = {place: self._submit_vetting(place) for place in self._pool.places.values()}
        lines = []
        for place, future in vetted.items():
            found = self._vetted(place, future)
            place.ready = not found
            lines += [f"{place.address}: {line}" for line in found]
        refuse(lines)
        there = [place.address for place in self._pool.places.values() if place.ready]
        answers = self._client.run(hosting.hosted, workers=there, on_error="return")
        answered = [(worker, keys) for worker, keys in answers.items() if isinstance(keys, list)]
        self._hosted = {key: worker for worker, keys in answered for key in keys}
        self._prepared = True
        for place in [place for place in self._pool.places.values() if place not in vetted]:
            self._vet_late(place)

    def run(
        self, task: str, payload: dict[str, Any], on_event: OnEvent = lambda event: None, limits: Limits = UNLIMITED
    ) -> Outcome:
        """Run one check on a worker; of data on every worker, since all must have the same."""
        places = [place for place in self._pool.places.values() if place.ready]
        places = places if task == "check_data" else places[:1]
        sent = []
        for index, place in enumerate(places):
            each = Sent(next(self._numbers), task, payload, on_event if index == 0 else lambda event: None, limits)
            each.pinned = True
            self._send(each, place, 0)
            sent.append(each)
        while not all(each.ended for each in sent):
            self._turn(TURN_S)
        told = {each.address: one.outcome for each, one in zip(places, sent, strict=True) if self._is_there(each)}
        if not told:
            raise GenbenchError(f"no worker of {self._address.scheduler} is left; {REMEDY}")
        return self._compared(payload, told) if task == "check_data" else sent[0].outcome

    def _compared(self, payload: dict[str, Any], outcomes: Mapping[str, Outcome]) -> Outcome:
        """Return what all workers say of the data; raise `InputError` where they do not say the same."""
        first = next((each for each in outcomes.values() if each.ok), next(iter(outcomes.values())))
        lines = []
        for address, outcome in outcomes.items():
            if not outcome.ok and (first.ok or outcome.reason != first.reason):
                lines.append(f"{address}: {payload['dataset']}: {outcome.reason}")
            elif outcome.value != first.value:
                lines.append(f"{address}: {payload['dataset']}: {differences(first.value, outcome.value)}")
        refuse(lines)
        if first.value is not None:
            self._checks.append((payload, first.value))
        return first

    def free(self) -> int:
        """Return how many cells the workers could take beside those that wait for a worker."""
        return max(0, self._pool.free() - len(self._homeless))

    def start_cell(
        self, payload: dict[str, Any], on_event: OnEvent, log: Path, limits: Limits, held: Sequence[int]
    ) -> Sent:
        """Send one cell to the worker that has most room, or follow it where an earlier run has left it running."""
        sent = Sent(next(self._numbers), "run_cell", payload, on_event, limits, log)
        found = self._hosted.pop(self._key(sent), None)
        place = self._pool.places.get(found or "")
        if place is None or not place.has_room():
            place = self._pool.roomiest()
        assert place is not None, "there must be a free place"
        self._send(sent, place, place.take(sent.number))
        return sent

    def ask_to_end(self, grace_s: float, asked: Callable[[], None]) -> None:
        """Do nothing: workers end their cells when the client has gone, without a last checkpoint."""

    def wait(self, timeout: float | None = None) -> list[Sent]:
        """Follow all cells; see `Executor.wait`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        running = {sent.number: sent for sent in self._sent.values() if sent.task == "run_cell"}
        free = self.free()
        while True:
            while self._late:  # not while data are checked: they are to be asked of all of it
                self._join(*self._late.pop())
            left = TURN_S if deadline is None else min(TURN_S, deadline - time.monotonic())
            self._turn(max(0.0, left))
            ended = [sent for sent in running.values() if sent.ended]
            if ended or self.free() > free or (deadline is not None and time.monotonic() >= deadline):
                return ended

    # How it keeps up with what happens.

    def _turn(self, timeout: float) -> None:
        """Take the messages that are there, or the first that comes within `timeout` seconds, and act on them."""
        with contextlib.suppress(queue.Empty):
            kind, message = self._inbox.get(timeout=timeout)
            while True:
                self._take(kind, message)
                kind, message = self._inbox.get_nowait()
        self._check_connection()
        if time.monotonic() - self._refreshed > REFRESH_S:
            self._refresh()
        self._place_homeless()

    def _take(self, kind: str, message: Any) -> None:
        if kind == "event":
            sent = self._sent.get(message["key"])
            if sent is not None:
                sent.on_event(message["event"])
        elif kind == "done":
            self._done(*message)
        elif kind == "vetted":
            self._late.append(message)
        elif message["action"] == "remove-worker":
            self._lose(message["worker"])
        elif message["action"] == "add-worker":
            self._refresh()

    def _check_connection(self) -> None:
        if self._client.status != "running":
            raise GenbenchError(
                f"the scheduler at {self._address.scheduler} is gone; what is finished is safe: start it and its "
                "workers again, and the same command goes on"
            )

    def _refresh(self) -> None:
        """Look which workers there are: ask the new ones whether they fit, and give up those that are gone."""
        self._refreshed = time.monotonic()
        try:
            # Not `scheduler_info`, whose copy a periodic update of Dask's empties of workers.
            scheduler: Any = self._client.scheduler
            workers = self._client.sync(scheduler.identity, n_workers=-1)["workers"]
        except (OSError, TimeoutError):  # a stall; `_check_connection` knows more
            return
        for address in set(self._pool.places) - set(workers):
            self._lose(address)
        for place in self._pool.add(workers):
            if self._prepared:
                self._vet_late(place)
        if self._pool.places:
            self._inhabited = self._refreshed
        elif self._prepared and self._refreshed - self._inhabited > EMPTY_S:
            raise GenbenchError(f"no worker of {self._address.scheduler} has been there for {EMPTY_S:.0f} s; {REMEDY}")

    def _lose(self, address: str) -> None:
        if self._pool.remove(address) is None:
            return
        self._hosted = {key: worker for key, worker in self._hosted.items() if worker != address}
        for sent in [each for each in self._sent.values() if each.place is not None and each.place.address == address]:
            self._lost(sent, "was lost")

    def _lost(self, sent: Sent, how: str) -> None:
        """Note that a worker did not bring a task to its end, and have another try unless it was the last time."""
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

    def _place_homeless(self) -> None:
        while self._homeless and (place := self._pool.roomiest()) is not None:
            sent = self._homeless.pop(0)
            self._send(sent, place, place.take(sent.number))

    # How a task goes out and comes back.

    def _key(self, sent: Sent) -> str:
        """Return what a task is called on its worker: of a cell the same for every run of the benchmark."""
        if sent.task != "run_cell" or self._fresh:
            return f"{self._token}-{sent.number}"
        where = f"{socket.gethostname()}\0{sent.payload['directory']}"
        return f"{hashlib.sha256(where.encode()).hexdigest()[:12]}-{sent.payload['id']}"

    def _send(self, sent: Sent, place: Place, slot: int) -> None:
        payload = sent.payload
        if sent.task == "run_cell":
            command = without_paths(payload["command"])
            payload = {
                **payload,
                "covered": None,
                "command": command,
                "slot": slot,
                "jobs": self._pool.side_by_side(place),
            }
        key = self._key(sent)
        cell = payload.get("cell", payload)
        asked = {
            "key": key,
            "task": sent.task,
            "payload": payload,
            "limits": asdict(sent.limits),
            "topic": self._topic,
            "model": self._models.get(_model_key(cell["model"]["name"], cell["model"]["options"])),
            "shared": self._shared,
            "anew": self._fresh and not sent.lost_on,
        }
        self._keys.add(key)
        self._sent[key], sent.place = sent, place
        name = f"{key}-{self._token}-{sent.number}-{len(sent.lost_on)}"
        sent.future = self._submit(hosting.work, asked, place, name, place.resources)
        sent.future.add_done_callback(lambda future: self._inbox.put(("done", (key, future))))

    def _submit(self, function: Any, argument: Any, place: Place, name: str, resources: Any = None) -> Future[Any]:
        return self._client.submit(
            function,
            argument,
            key=f"genbench-{name}",
            workers=[place.address],
            allow_other_workers=False,
            resources=resources,
            retries=0,
            pure=False,
        )

    def _done(self, key: str, future: Future[Any]) -> None:
        sent = self._sent.get(key)
        if sent is None or sent.future is not future:
            return  # of an attempt that was given up
        if future.status == "cancelled":
            self._check_connection()
        try:
            answer = future.result(timeout=FETCH_S)
        except TimeoutError:  # its worker may be gone, of which a message is on its way
            self._inbox.put(("done", (key, future)))
            return
        except Exception as error:  # whatever Dask or the worker raised
            self._check_connection()
            self._lost(sent, f"could not run it ({shortened(f'{type(error).__name__}: {error}', 300)})")
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
        self._sent.pop(self._key(sent), None)
        if sent.expected is not None and sent.place is not None:
            self._checked_late(sent.place, sent)

    # How it finds out about the cluster.

    def _await_workers(self) -> None:
        deadline = time.monotonic() + WORKERS_S
        while not self._pool.places and time.monotonic() < deadline:
            self._refresh()
            if not self._pool.places:
                time.sleep(0.2)
        if not self._pool.places:
            at = self._address.scheduler
            raise InputError(f"the scheduler at {at} has no workers; start some with: dask worker {at} --nthreads 1")

    def _submit_vetting(self, place: Place) -> Future[Any]:
        wanted = {"software": software(), "models": [*self._models.values()], "shared": self._shared}
        return self._submit(hosting.vet, wanted, place, f"vet-{self._token}-{next(self._numbers)}")

    def _vet_late(self, place: Place) -> None:
        future = self._submit_vetting(place)
        future.add_done_callback(lambda done: self._inbox.put(("vetted", (place, done))))

    def _vetted(self, place: Place, future: Future[Any]) -> list[str]:
        """Return how a worker differs; nothing of one that has gone meanwhile."""
        deadline = time.monotonic() + VETTING_S
        while self._is_there(place):
            try:
                return [shortened(str(line), 500) for line in future.result(timeout=FETCH_S)]
            except TimeoutError:
                self._check_connection()
                self._refresh()
                if time.monotonic() > deadline:
                    return [f"does not answer within {VETTING_S:.0f} s"]
            except Exception as error:  # whatever its Dask or its genbench raises where they are others
                self._check_connection()
                return [f"cannot be asked: {shortened(f'{type(error).__name__}: {error}', 300)}"]
        return []

    def _is_there(self, place: Place) -> bool:
        return self._pool.places.get(place.address) is place

    def _join(self, place: Place, future: Future[Any]) -> None:
        """Take a worker that has come late, if it is as the others are and has the same data."""
        lines = self._vetted(place, future)
        if lines or not self._is_there(place):
            self._not_used(place, lines)
        else:
            self._check_late(place)

    def _check_late(self, place: Place) -> None:
        """Ask a worker of the next data that it has not been asked of; it is ready when there is none."""
        if place.checked == len(self._checks):
            place.ready = True
            return
        payload, value = self._checks[place.checked]
        sent = Sent(next(self._numbers), "check_data", payload, lambda event: None, UNLIMITED, pinned=True)
        sent.expected = value
        self._send(sent, place, 0)

    def _checked_late(self, place: Place, sent: Sent) -> None:
        outcome = sent.outcome
        if outcome.value == sent.expected:
            place.checked += 1
            self._check_late(place)
            return
        reason = outcome.reason if not outcome.ok else differences(sent.expected, outcome.value)
        self._not_used(place, [f"{sent.payload['dataset']}: {reason}"])

    def _not_used(self, place: Place, lines: Sequence[str]) -> None:
        for line in lines:
            self._tell(f"{place.address} has come and is not used: {line}")


def _model_key(name: str, options: Mapping[str, Any]) -> str:
    return repr((name, sorted(options.items())))
