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
        slots: cells that it can take at once: its GPUs if it declares any, else its threads.
        by_gpu: whether the slots are GPUs.
        ready: whether it has been checked and meets the requirements.
        taken: slots in use, by the number of the task.
        checked: how many datasets it has been checked for, if it joined late.
    """

    address: str
    host: str
    slots: int
    by_gpu: bool
    ready: bool = False
    taken: dict[int, int] = field(default_factory=dict)
    checked: int = 0

    @property
    def resources(self) -> dict[str, float] | None:
        """The Dask resources that a cell takes in addition to a thread."""
        return {GPU: 1} if self.by_gpu else None

    def free(self) -> int:
        """Return how many more cells it can take."""
        return self.slots - len(self.taken) if self.ready else 0

    def has_room(self) -> bool:
        """Whether it can take another cell."""
        return self.free() > 0

    def take(self, number: int) -> int:
        """Assign a slot to a task, and return it."""
        slot = min(set(range(self.slots)) - set(self.taken.values()))
        self.taken[number] = slot
        return slot

    def leave(self, number: int) -> None:
        """Free the slot of a task, if it has one."""
        self.taken.pop(number, None)


class Pool:
    """The workers of a cluster that can take cells."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}

    def add(self, workers: Mapping[str, Mapping[str, Any]]) -> list[Place]:
        """Update from the scheduler's information on its workers; return the new ones.

        If any worker declares GPUs, only workers that do so count.
        """
        gpus = {address: int((each.get("resources") or {}).get(GPU, 0)) for address, each in workers.items()}
        any_gpu = any(gpus.values())
        new = []
        for address, each in workers.items():
            if address in self.places or (any_gpu and not gpus[address]):
                continue
            slots = min(gpus[address], each["nthreads"]) if any_gpu else each["nthreads"]
            new.append(Place(address, str(each["host"]), max(1, slots), any_gpu))
        self.places |= {place.address: place for place in new}
        return new

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
