"""The other ranks of one cell, as the first rank sees them: its requests and their answers."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from genbench.cell.events import Emit
from genbench.cell.forked import Followers
from genbench.errors import PluginError
from genbench.features.extractor import Extractor, FeatureError, Features, default_batch_size, extract
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.training.ranks.group import LOOPBACK, ProcessGroup
from genbench.training.ranks.lockstep import Lockstep

__all__ = ["Follow", "Ranks", "from_text", "to_text"]

Follow = Callable[[int, Any, socket.socket], None]  # a rank, its pipe, and where rank 0 answers


class Ranks:
    """All ranks of a cell. As a context manager it ends the others, and raises the reason if one has been lost.

    Args:
        size: the number of ranks.
        follow: what each rank other than the first does, until it is asked to end.
        emit: receives the event of a failure that this rank's own code can no longer raise.
    """

    def __init__(self, size: int, follow: Follow, emit: Emit) -> None:
        self.size = size
        self._listener = socket.create_server((LOOPBACK, 0))
        self._others = Followers(size, lambda rank, pipe: follow(rank, pipe, self._listener), emit)
        self._group: ProcessGroup | None = None
        self._lockstep: Lockstep | None = None

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, _: type | None, error: BaseException | None, __: TracebackType | None) -> None:
        self._listener.close()
        self._others.close(error)

    @property
    def lockstep(self) -> Lockstep:
        """This rank's model in lockstep with the others', from `take_up` on."""
        assert self._lockstep is not None, "take the model up first"
        return self._lockstep

    def take_up(self, plugin: Plugin, model: Model, device: torch.device, steps: int | None, resumed: bool) -> None:
        """Have each rank build the model, or restore it if this one did, and keep them in lockstep."""
        self._others.ask({"do": "model", "steps": steps, "resumed": resumed})
        self._group = ProcessGroup(0, self.size, device, self._listener)
        self._lockstep = Lockstep(plugin, plugin.hook.train_step, model, self._group)

    def prepare(self, before: Callable[[], None]) -> None:
        """Have each rank see the data before the first step, as `before` does, and copy this rank's state then."""
        self._others.tell_all({"do": "prepare"})
        before()
        self.lockstep.copy_from_first()

    def begin(self, first: int, steps: int) -> None:
        """Have the others take `steps` steps, starting with number `first`."""
        self._others.tell_all({"do": "window", "first": first, "steps": steps})

    def end(self, step: int, means: dict[str, float]) -> dict[str, float]:
        """Return the losses of a window that ended with `step`, each averaged over the ranks that have it."""
        self.lockstep.settle(step)
        everyone = [means, *self._others.answers()]
        names = dict.fromkeys(name for each in everyone for name in each)
        values = {name: [each[name] for each in everyone if name in each] for name in names}
        return {name: sum(each) / len(each) for name, each in values.items()}

    def random_states(self) -> list[dict[str, Any]]:
        """Return the state of each other rank's global generators, in the form of `seeding.random_state`."""
        told = self._others.ask({"do": "random"})
        return [{"cpu": from_text(each["cpu"]), "cuda": [*map(from_text, each["cuda"])]} for each in told]

    def extract(self, extractor: Extractor, items: Tensor) -> Features:
        """Return the features of all items, extracted by all ranks in exactly the batches that one rank would use."""
        size = default_batch_size(extractor)
        batches = -(-len(items) // size)
        ends = [min(len(items), batches * (rank + 1) // self.size * size) for rank in range(self.size)]
        group = self._group
        if group is None or batches < 2:
            return extract(extractor, items)
        parts = [items[first:end] for first, end in itertools.pairwise([0, *ends])]
        busy = [rank for rank in range(1, self.size) if len(parts[rank])]
        for rank in busy:
            self._others.tell(rank, {"do": "extract", "shape": list(parts[rank].shape), "batch_size": size})
            group.send(parts[rank], rank)
        try:
            found = [extract(extractor, parts[0], batch_size=size)]
        except FeatureError as error:  # the others send theirs: no number can be left out and the rest be measured
            raise PluginError(str(error)) from error
        found += [_received(group, extractor, len(parts[rank]), rank) for rank in busy]
        logits = [each.logits for each in found if each.logits is not None]
        return Features(torch.cat([each.features for each in found]), torch.cat(logits) if logits else None)

    def finish(self) -> list[dict[str, int | None]]:
        """Have the others end; return the peak memory of each."""
        return self._others.finish({"do": "end"})


def _received(group: ProcessGroup, extractor: Extractor, count: int, rank: int) -> Features:
    features = group.receive(torch.empty(count, extractor.feature_count), rank)
    if extractor.classes is None:
        return Features(features, None)
    return Features(features, group.receive(torch.empty(count, extractor.classes), rank))


def to_text(state: Tensor) -> str:
    """Return the state of a generator, (n,) uint8, as text."""
    return bytes(state.tolist()).hex()


def from_text(text: str) -> Tensor:
    """Return the tensor that was passed to `to_text`."""
    return torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8)
