"""A rank other than the first: it also builds the cell's model, and follows the first rank's commands."""

from __future__ import annotations

import functools
import json
import socket
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from genbench import seeding
from genbench.cell import preflight
from genbench.cell.events import Events
from genbench.cell.ranks import to_text
from genbench.cell.training import CellTraining
from genbench.config import Cell
from genbench.features.extractor import extract
from genbench.machine import environment
from genbench.plugin import finding, loading, world
from genbench.plugin.model import Model
from genbench.records.record import checkpoint_path
from genbench.training import cost, loop
from genbench.training.losses import window_means
from genbench.training.ranks.group import ProcessGroup
from genbench.training.ranks.lockstep import Lockstep

__all__ = ["follow"]


def follow(payload: Mapping[str, Any], rank: int, commands: Connection, listener: socket.socket) -> None:
    """Act as one rank of the cell that `payload` describes, until the first rank sends the end.

    Args:
        payload: as `cell.run` takes it.
        rank: from 1.
        commands: receives the first rank's messages, and sends answers.
        listener: where the first rank accepts the ranks that join; a message says when.
    """
    with world.imports_put_back():
        follower = _Follower(payload, rank, commands, listener)
        while not follower.ended:
            message = json.loads(commands.recv_bytes())
            getattr(follower, message.pop("do"))(**message)


class _Follower:
    """One method per message; answers are sent back by the methods."""

    def __init__(self, payload: Mapping[str, Any], rank: int, commands: Connection, listener: socket.socket) -> None:
        self.rank, self.commands, self.listener = rank, commands, listener
        self.cell = Cell.from_json(payload["cell"])
        self.settings = self.cell.settings
        self.ended = False
        size = self.settings.ranks
        slot, jobs = payload["slot"] * size + rank, payload["jobs"] * size
        self.device = environment.share(payload["description"]["device"], slot, jobs)
        self.dataset = preflight.load_dataset(self.cell.dataset, self.settings, payload.get("plugins_from"))
        with world.importing():
            self.plugin = loading.load(finding.find(self.cell.model, [payload["distribution"]]))
        path = checkpoint_path(Path(payload["directory"]), payload["id"])
        self.training = CellTraining(
            self.cell, self.plugin, self.dataset, self.device, path, None, Events(lambda event: None), rank=rank
        )
        self.batches = self.training.batches()

    def model(self, steps: int | None, resumed: bool) -> None:
        """Build the model, or restore it from the checkpoint, and join the others."""
        self.built: Model = self.training.follow(steps, resumed)
        cost.reset_peak_memory(self.device)
        self.answer({})
        self.group = ProcessGroup(self.rank, self.settings.ranks, self.device, self.listener)
        self.lockstep = Lockstep(self.plugin, self.plugin.hook.train_step, self.built, self.group)

    def prepare(self) -> None:
        """See the data before the first step, with the same random draws as the first rank."""
        before = self.training.before(self.built)
        assert before is not None, "the first rank has the same plugin"
        seeding.seed_global(self.cell.seed, "train")
        self.built.networks.train()
        with loop.in_precision(self.settings.training_precision, self.device):
            before()
        self.lockstep.copy_from_first()
        self.training.seed()

    def window(self, first: int, steps: int) -> None:
        """Take training steps."""
        precision = self.settings.training_precision
        losses = loop.window(self.lockstep.step, self.built, self.batches, first, steps, precision)
        means = window_means(self.plugin, losses, first)
        self.lockstep.settle(first + steps - 1)
        self.answer(means)

    def random(self) -> None:
        """Report the state of the generators."""
        state = seeding.random_state()
        self.answer({"cpu": to_text(state["cpu"]), "cuda": [*map(to_text, state["cuda"])]})

    def extract(self, shape: list[int], batch_size: int) -> None:
        """Extract features of the items that the first rank sends."""
        items = self.group.receive(torch.empty(shape, dtype=self.dataset.train.items.dtype), 0)
        with world.settled():
            found = extract(self.extractor, items, batch_size=batch_size)
        for part in (found.features, found.logits):
            if part is not None:
                self.group.send(part, 0)

    def end(self) -> None:
        """Report the peak memory, and end."""
        self.answer(cost.peak_memory(self.device))
        self.ended = True

    def answer(self, what: Mapping[str, Any]) -> None:
        """Send an answer to the first rank."""
        self.commands.send_bytes(json.dumps(what).encode())

    @functools.cached_property
    def extractor(self) -> Any:
        """The extractor; the first rank has ensured that it is in the cache."""
        return preflight.load_extractor(self.dataset, self.settings, self.device, Events(lambda event: None))
