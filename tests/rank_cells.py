"""A cell of several ranks on a small model whose steps can be computed by hand, and an extractor to go with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from genbench import datasets, seeding
from genbench.cell.events import Events
from genbench.cell.training import CellTraining
from genbench.config import Budget, Cell, ModelSpec, Settings
from genbench.plugin import finding, loading
from genbench.plugin.model import Model
from genbench.records.record import checkpoint_path

CPU = torch.device("cpu")
ID = "0123456789abcdef"
SEED = 5
BATCH = 12  # over all ranks, of which there are two or three
RATE = 0.25
MODEL = (Path(__file__).parent / "models" / "pushed.py").read_text()


def payload(folder: Path, source: str = MODEL, **settings: Any) -> dict[str, Any]:
    """Describe a cell of the model on drawn items, as `cell.run` takes it."""
    path = folder / "pushed.py"
    path.write_text(source)
    chosen = Settings(Budget(8, "steps"), BATCH, **{"ranks": 2, "device": "cpu", **settings})
    cell = Cell(ModelSpec(str(path), {"rate": RATE}), "gaussians", SEED, chosen)
    given = {"cell": cell.to_json(), "id": ID, "description": {"device": "cpu"}, "distribution": "file"}
    return json.loads(json.dumps({**given, "directory": str(folder), "jobs": 3, "slot": 2}))  # type: ignore[no-any-return]


def training_of(given: dict[str, Any]) -> CellTraining:
    """The first rank's training of the cell."""
    cell = Cell.from_json(given["cell"])
    plugin = loading.load(finding.find(cell.model, ["file"]))
    path = checkpoint_path(Path(given["directory"]), ID)
    silent = Events(lambda event: None)
    return CellTraining(cell, plugin, datasets.load(cell.dataset), CPU, path, None, silent)


def point_of(model: Model) -> Tensor:
    return model.networks["net"]["point"]  # type: ignore[no-any-return, index]


class Doubling:
    """Replaces an extractor: features are twice the items, and the number of items in their batch."""

    feature_count, item_bytes, device = 3, 1, CPU
    size = 4  # of a batch that ranks share out

    def __init__(self, classes: int | None = None) -> None:
        self.classes = classes
        self.batches: list[int] = []

    def __call__(self, items: Tensor) -> tuple[Tensor, Tensor | None]:
        self.batches.append(len(items))
        size = torch.full((len(items), 1), float(len(items)))
        logits = None if self.classes is None else items.flatten(1).float() - 0.1
        return torch.cat([2.0 * items.flatten(1), size], 1), logits


class Mailbox:
    """Replaces a group: what other ranks send lies ready, and what they are sent is kept.

    Where a rank expects another shape, gloo ends the process.
    """

    def __init__(self, *ready: tuple[int, Tensor]) -> None:
        self.ready = [*ready]
        self.sent: list[tuple[int, Tensor]] = []

    def send(self, tensor: Tensor, to: int) -> None:
        self.sent.append((to, tensor))

    def receive(self, into: Tensor, source: int) -> Tensor:
        sender, tensor = self.ready.pop(0)
        assert (source, into.shape, into.dtype) == (sender, tensor.shape, tensor.dtype)
        return into.copy_(tensor)


def items_of(count: int) -> Tensor:
    """Different items of the dataset's shape and type."""
    return torch.arange(2 * count, dtype=torch.uint8).view(count, 2, 1, 1)


class ByHand:
    """The model's training by several ranks, computed without any."""

    def __init__(self, ranks: int) -> None:
        items = datasets.load("gaussians").train.items
        order = torch.randperm(len(items), generator=seeding.generator(SEED, "batches", 0))
        self._batches = (items[order[: 20 * BATCH]].double() / 127.5 - 1).view(20, ranks, -1, *items.shape[1:])
        self.point = torch.randn(items.shape[1:], generator=seeding.generator(SEED, "build")).double()
        names = [(), *(("rank", rank) for rank in range(1, ranks))]
        self.generators = [seeding.generator(SEED, "train", *name) for name in names]

    def step(self, number: int) -> list[dict[str, float]]:
        """Take a step; return the losses of each rank."""
        noise = [torch.randn((), generator=generator).double() for generator in self.generators]
        differences = self._batches[number] - self.point  # (ranks, rows, C, H, W)
        losses = [
            {"loss": float(mine.square().sum() / len(mine) + push * self.point.sum()), "steps": 8.0, "autocast": 0.0}
            | ({"positive": float(push)} if push > 0 else {})
            for mine, push in zip(differences, noise, strict=True)
        ]
        self.point = self.point - RATE * (torch.stack(noise).mean() - 2 * differences.flatten(0, 1).mean(0))
        return losses


def mean_of(losses: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each loss over those that have it."""
    names = {name for each in losses for name in each}
    values = {name: [each[name] for each in losses if name in each] for name in names}
    return {name: sum(each) / len(each) for name, each in values.items()}


def near(losses: dict[str, float]) -> Any:
    """What compares equal with losses that float32 rounds."""
    return pytest.approx(losses, rel=1e-5, abs=1e-6)


def close(point: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(point.detach().double(), expected, rtol=1e-5, atol=1e-6)
