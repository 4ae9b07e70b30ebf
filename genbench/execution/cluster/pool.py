"""The available workers, and how many cells each can take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["GPU", "Place", "Pool"]

GPU = "GPU"  # the name of the resource on workers: `dask worker --resources GPU=1`


@dataclass(eq=False)
class Place:
    """One worker.

    Args:
        address: its address.
        host: its host.
        slots: cells that it can take at once: as its GPUs allow if these count, else its threads.
        by_gpu: whether the slots are GPUs.
        ready: whether it has been checked and meets the requirements.
        first: of the slots of its host, the first that is its own.
        ranks: GPUs per slot.
        taken: slots in use, by the number of the task.
        checked: how many datasets it has been checked for, if it joined late.
    """

    address: str
    host: str
    slots: int
    by_gpu: bool
    first: int = 0
    ranks: int = 1
    ready: bool = False
    taken: dict[int, int] = field(default_factory=dict)
    checked: int = 0

    @property
    def resources(self) -> dict[str, float] | None:
        """The Dask resources that a cell takes in addition to a thread."""
        return {GPU: self.ranks} if self.by_gpu else None

    def free(self) -> int:
        """Return how many more cells it can take."""
        return self.slots - len(self.taken) if self.ready else 0

    def has_room(self) -> bool:
        """Whether it can take another cell."""
        return self.free() > 0

    def take(self, number: int) -> int:
        """Assign a slot to a task, and return it, counted over the host."""
        own = range(self.first, self.first + self.slots)
        slot = min(set(own) - set(self.taken.values()))
        self.taken[number] = slot
        return slot

    def leave(self, number: int) -> None:
        """Free the slot of a task, if it has one."""
        self.taken.pop(number, None)


class Pool:
    """The workers of a cluster that can take cells.

    Args:
        device: that cells ask for: GPUs count if it is one, or if it is `auto` and any worker declares GPUs.
        ranks: how many devices a cell takes.
    """

    def __init__(self, device: str = "auto", ranks: int = 1) -> None:
        self.places: dict[str, Place] = {}
        self.passed_over = False  # whether there are workers that declare too few GPUs
        self.ranks = ranks
        self._must, self._may = device.startswith("cuda"), device == "auto"

    def add(self, workers: Mapping[str, Mapping[str, Any]]) -> list[Place]:
        """Update from the scheduler's information on its workers; return the new ones.

        If GPUs count, only workers that declare enough of them for a cell do.
        """
        gpus = {address: int((each.get("resources") or {}).get(GPU, 0)) for address, each in workers.items()}
        by_gpu = self._must or (self._may and any(gpus.values()))
        new = []
        for address, each in workers.items():
            slots = min(gpus[address] // self.ranks if by_gpu else each["nthreads"], each["nthreads"])
            if address in self.places or slots < 1:
                continue
            host = str(each["host"])
            first = self._first_free(host, slots) if by_gpu else 0
            place = Place(address, host, slots, by_gpu, first, self.ranks)
            self.places[address] = place
            new.append(place)
        self.passed_over = len(workers) > len(self.places)
        return new

    def _first_free(self, host: str, slots: int) -> int:
        """Return the first of so many slots of a host that no other worker has: it may see the same GPUs."""
        first = 0
        for place in sorted((each for each in self.places.values() if each.host == host), key=lambda each: each.first):
            if first + slots <= place.first:
                break
            first = max(first, place.first + place.slots)
        return first

    def remove(self, address: str) -> Place | None:
        """Forget a worker."""
        return self.places.pop(address, None)

    def free(self) -> int:
        """Return how many more cells all of them can take."""
        return sum(place.free() for place in self.places.values())

    def roomiest(self) -> Place | None:
        """Return the worker that can take most cells, or None if none can take any."""
        best = max(self.places.values(), key=Place.free, default=None)
        return best if best is not None and best.has_room() else None

    def side_by_side(self, place: Place) -> int:
        """Return how many cells may share the cores of a worker's host."""
        return sum(each.slots for each in self.places.values() if each.host == place.host)
