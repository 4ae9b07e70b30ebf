"""Decides which workers take cells: each, even a late one, is first checked against the benchmark's requirements."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from distributed import Future

from genbench.errors import GenbenchError, InputError, shortened
from genbench.execution.cluster import hosting
from genbench.execution.cluster.connection import differences, refuse
from genbench.execution.cluster.dispatch import FETCH_S, Dispatch
from genbench.execution.cluster.link import Link
from genbench.execution.cluster.pool import Place, Pool
from genbench.execution.cluster.sent import Sent
from genbench.execution.cluster.vetting import Shipment, software
from genbench.execution.executor import FoundModel
from genbench.execution.limits import UNLIMITED
from genbench.execution.local import REMEDY
from genbench.execution.running import Outcome
from genbench.plugin.visible import wording

__all__ = ["Admission"]

WORKERS_S = 8.0  # to wait for a first worker
EMPTY_S = 600.0  # to wait for another one once all are gone
REFRESH_S = 10.0  # between looks at the list of workers; changes are also announced
VETTING_S = 120.0  # for a worker to answer the check


class Admission:
    """The workers of one cluster, from when they join to when they leave.

    Args:
        link: the connection over which they are asked.
        pool: is kept up to date.
        dispatch: sends tasks, and is notified of lost workers.
        shared: the folder that they must be able to write to, or None.
        tell: takes a line for the user.
    """

    def __init__(
        self, link: Link, pool: Pool, dispatch: Dispatch, shared: str | None, tell: Callable[[str], None]
    ) -> None:
        self._link = link
        self._pool = pool
        self._dispatch = dispatch
        self._shared = shared
        self._tell = tell
        self._shipments: list[Shipment] = []
        self._checks: list[tuple[dict[str, Any], dict[str, Any]]] = []  # data checks: payload and result
        self._late: list[tuple[Place, Future[Any]]] = []  # workers that joined after the others were checked
        self._prepared = False
        self._refreshed = self._inhabited = 0.0
        self.hosted: dict[str, str] = {}  # what an earlier run left running on workers: key -> worker

    def await_workers(self) -> None:
        """Wait for a first worker; raise `InputError` if none joins."""
        deadline = time.monotonic() + WORKERS_S
        while not self._pool.places and time.monotonic() < deadline:
            self.refresh()
            if not self._pool.places:
                time.sleep(0.2)
        if not self._pool.places:
            if self._pool.passed_over:
                raise self._without_gpus()
            at = self._link.address.scheduler
            raise InputError(f"the scheduler at {at} has no workers; start some with: dask worker {at} --nthreads 1")

    def prepare(self, models: Sequence[FoundModel]) -> None:
        """Check that every worker meets the requirements of the benchmark; raise `InputError` if one does not."""
        self._shipments = self._dispatch.take_models(models)
        self.refresh()
        vetted = {place: self._submit_vetting(place) for place in self._pool.places.values()}
        lines = []
        for place, future in vetted.items():
            found = self._vetted(place, future)
            place.ready = not found
            lines += [f"{place.address}: {line}" for line in found]
        refuse(lines)
        there = [place.address for place in self._pool.places.values() if place.ready]
        answers = self._link.client.run(hosting.hosted, workers=there, on_error="return")
        answered = [(worker, keys) for worker, keys in answers.items() if isinstance(keys, list)]
        self.hosted = {key: worker for worker, keys in answered for key in keys}
        self._prepared = True
        for place in [place for place in self._pool.places.values() if place not in vetted]:
            self._vet_late(place)

    def check_device(self, device: str) -> None:
        """Raise `InputError` if cells use GPUs that no worker declares, so that nobody knows how many there are."""
        if device.startswith("cuda") and not any(place.by_gpu for place in self._pool.places.values()):
            raise self._without_gpus()

    def _without_gpus(self) -> InputError:
        at, each = self._link.address.scheduler, self._pool.ranks
        what = "a GPU" if each == 1 else f"the {each} GPUs of --ranks {each}"
        return InputError(
            f"no worker at {at} declares {what}, and cells take only what is declared; start workers with: "
            f"dask worker {at} --nthreads 1 --resources GPU={each}"
        )

    def is_there(self, place: Place) -> bool:
        """Whether a worker is still there."""
        return self._pool.places.get(place.address) is place

    def remember(self, payload: dict[str, Any], value: dict[str, Any]) -> None:
        """Note the answer of all workers about a dataset; workers that join late must give the same one."""
        self._checks.append((payload, value))

    def refresh_if_due(self) -> None:
        """Refresh the list of workers if the last look was long ago."""
        if time.monotonic() - self._refreshed > REFRESH_S:
            self.refresh()

    def refresh(self) -> None:
        """Refresh the list of workers: check the new ones, and drop those that are gone."""
        self._refreshed = time.monotonic()
        workers = self._link.workers()
        if workers is None:
            return
        for address in set(self._pool.places) - set(workers):
            self.lose(address)
        for place in self._pool.add(workers):
            if self._prepared:
                self._vet_late(place)
        if self._pool.places:
            self._inhabited = self._refreshed
        elif self._prepared and self._refreshed - self._inhabited > EMPTY_S:
            at = self._link.address.scheduler
            raise GenbenchError(f"{at} has had no workers for {EMPTY_S:.0f} s. {REMEDY}")

    def lose(self, address: str) -> None:
        """Forget a worker, and reassign its tasks."""
        if self._pool.remove(address) is None:
            return
        self.hosted = {key: worker for key, worker in self.hosted.items() if worker != address}
        self._dispatch.lose(address)

    def come_late(self, place: Place, future: Future[Any]) -> None:
        """Note that a worker which joined late has answered its check."""
        self._late.append((place, future))

    def admit_late(self) -> None:
        """Accept the workers that joined late, if they match the others and have the same data."""
        while self._late:
            place, future = self._late.pop()
            lines = self._vetted(place, future)
            if lines or not self.is_there(place):
                self._not_used(place, lines)
            else:
                self._check_late(place)

    def _submit_vetting(self, place: Place) -> Future[Any]:
        wanted = {"software": software(), "models": self._shipments, "shared": self._shared}
        name = f"vet-{self._link.token}-{next(self._dispatch.numbers)}"
        return self._link.submit(hosting.vet, wanted, place, name)

    def _vet_late(self, place: Place) -> None:
        future = self._submit_vetting(place)
        future.add_done_callback(lambda done: self._link.inbox.put(("vetted", (place, done))))

    def _vetted(self, place: Place, future: Future[Any]) -> list[str]:
        """Return how a worker differs; nothing for one that has left in the meantime."""
        deadline = time.monotonic() + VETTING_S
        while self.is_there(place):
            try:
                return [shortened(str(line), 500) for line in future.result(timeout=FETCH_S)]
            except TimeoutError:
                self._link.check()
                self.refresh()
                if time.monotonic() > deadline:
                    return [f"does not answer within {VETTING_S:.0f} s"]
            except Exception as error:  # whatever a different version of Dask or genbench raises there
                self._link.check()
                return [f"cannot be checked: {shortened(wording(error), 300)}"]
        return []

    def _check_late(self, place: Place) -> None:
        """Check a worker's next unchecked dataset; the worker is ready if none is left."""
        if place.checked == len(self._checks):
            place.ready = True
            return
        payload, value = self._checks[place.checked]
        number = next(self._dispatch.numbers)
        sent = Sent(number, "check_data", payload, lambda event: None, UNLIMITED, pinned=True)
        sent.on_answer = partial(self._checked_late, place, payload, value)
        self._dispatch.send(sent, place, 0)

    def _checked_late(self, place: Place, payload: dict[str, Any], expected: dict[str, Any], outcome: Outcome) -> None:
        if outcome.value == expected:
            place.checked += 1
            self._check_late(place)
            return
        reason = outcome.reason if not outcome.ok else differences(expected, outcome.value)
        self._not_used(place, [f"{payload['dataset']}: {reason}"])

    def _not_used(self, place: Place, lines: Sequence[str]) -> None:
        for line in lines:
            self._tell(f"{place.address} has joined but is not used: {line}")
