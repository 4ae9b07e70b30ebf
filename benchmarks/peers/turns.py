"""Two loops that take turns on the same images, so that a machine whose speed drifts slows both.

Each runs in a process of its own, as its users have it: what a trainer leaves behind, such as threads that wait awake,
would slow the other too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from genbench import datasets, options, plugins, seeding, training
from genbench.config import ModelSpec
from genbench.datasets.dataset import Dataset
from genbench.model import Model
from genbench.training import Batches, Progress, Schedule

__all__ = ["BATCH", "Epoch", "arguments", "build", "compare", "harness", "mnist"]

BATCH = 64
CPU = torch.device("cpu")
Epoch = Callable[[], int]  # trains for an epoch, and returns the number of images


def arguments(description: str | None) -> argparse.Namespace:
    """Read what every peer's script takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="a folder with MNIST in torchvision's layout")
    parser.add_argument("--turns", type=int, default=9)
    return parser.parse_args()


def mnist(root: Path | None) -> Dataset:
    return datasets.load("mnist", data_root=root)


def build(name: str, data: Dataset) -> Model:
    """Build a model as a cell does, from the global generator at seed 0."""
    seeding.seed_global(0, "build")
    plugin = plugins.load(plugins.find(ModelSpec.parse(name)))
    return options.build(plugin, data.image_shape, data.classes, ModelSpec.parse(name).options, CPU)


def harness(name: str, root: Path | None) -> Epoch:
    """Return genbench's own loop over an epoch of MNIST."""
    data = mnist(root)
    plugin = plugins.load(plugins.find(ModelSpec.parse(name)))
    model, batches = build(name, data), Batches(data.train, BATCH, 0, CPU)

    def epoch() -> int:
        schedule = Schedule(batches.per_epoch, None, 1)
        training.train(plugin, model, batches, schedule, Progress(), clock=time.perf_counter)
        return batches.per_epoch * BATCH

    return epoch


def compare(title: str, ours: Callable[[], Epoch], theirs: Callable[[], Epoch], turns: int) -> None:
    """Let both train in turn, each first every other time, and print images/s of each and their ratio.

    Args:
        ours: makes genbench's loop, in the process that runs it; `functools.partial` of a module's function.
        theirs: makes the peer's.
    """
    sides = {"genbench": _Side(ours), "peer": _Side(theirs)}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(turns + 1):
        for name in sorted(sides, reverse=turn % 2 == 0):
            rate = sides[name].epoch()
            if turn:  # the first turn warms up
                rates[name].append(rate)
    for side in sides.values():
        side.end()
    ratios = sorted(a / b for a, b in zip(rates["genbench"], rates["peer"], strict=True))
    ours_rate, theirs_rate = (statistics.median(values) for values in rates.values())
    print(
        f"{title}: genbench {ours_rate:,.0f} images/s, peer {theirs_rate:,.0f}, "
        f"ratio {statistics.median(ratios):.2f} (median of {turns} turns, {ratios[0]:.2f} to {ratios[-1]:.2f})",
        flush=True,
    )


class _Side:
    """A fresh process that trains an epoch at a time, and waits asleep while the other has its turn."""

    def __init__(self, make: Callable[[], Epoch]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, other))
        self._process.start()
        other.close()

    def epoch(self) -> float:
        """Train an epoch and return its images/s."""
        self._connection.send("epoch")
        rate: float = self._connection.recv()
        return rate

    def end(self) -> None:
        self._connection.close()
        self._process.join()


def _serve(make: Callable[[], Epoch], connection: Connection) -> None:
    epoch = make()
    while True:
        try:
            connection.recv()
        except EOFError:
            return
        begin = time.perf_counter()
        images = epoch()
        connection.send(images / (time.perf_counter() - begin))
