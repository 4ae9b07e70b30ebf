"""Two loops that alternate on the same images, so that a drift in the machine's speed affects both.

Each runs in a separate process, as it would for its users: what a trainer leaves behind, such as busy-waiting threads,
would slow the other too. A turn is several epochs, because a trainer is not normally set up again for each epoch.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from core_distance import SHARED_CACHE_NS, core_distance

from genbench import Training
from genbench import datasets, seeding
from genbench.plugin import options
from genbench.plugin import loading
from genbench.plugin import finding
from genbench.config import ModelSpec
from genbench.datasets.dataset import Dataset
from genbench.plugin.model import Model
from genbench.training.loop import Batches
from genbench.regression.workload import Workload

__all__ = ["BATCH", "EPOCHS", "Loop", "arguments", "build", "compare", "harness", "mnist"]

BATCH = 64
EPOCHS = 4  # per turn
WINDOW = 15  # steps of genbench's loop between two reads of the clock, as in a budget of a dozen epochs
CPU = torch.device("cpu")
Loop = Callable[[], int]  # trains for a turn, and returns the number of images


def arguments(description: str | None) -> argparse.Namespace:
    """Parse the arguments that every peer's script takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="a folder with MNIST in torchvision's layout")
    parser.add_argument("--turns", type=int, default=9)
    return parser.parse_args()


def mnist(root: Path | None) -> Dataset:
    return datasets.load("mnist", data_root=root)


def build(name: str, data: Dataset) -> Model:
    """Build a model as a cell does, from the global generator at seed 0."""
    seeding.seed_global(0, "build")
    plugin = loading.load(finding.find(ModelSpec.parse(name)))
    model: Model = options.build(plugin, data.data, Training(None, BATCH), ModelSpec.parse(name).options, CPU)
    return model


def harness(name: str, root: Path | None) -> Loop:
    """Return genbench's own loop over MNIST."""
    data = mnist(root)
    plugin = loading.load(finding.find(ModelSpec.parse(name)))
    work = Workload(plugin, build(name, data), Batches(data.train, BATCH, 0, CPU), CPU)
    windows = EPOCHS * work.batches.per_epoch // WINDOW

    def turn() -> int:
        work.train(windows, WINDOW, time.perf_counter)
        return windows * WINDOW * BATCH

    return turn


@dataclass(frozen=True)
class Turn:
    """Images/s of both sides, and the distance of the processors before, between and after them."""

    ours: float
    theirs: float
    distances: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    @property
    def caches(self) -> str:
        """Return whether the processors shared a cache all the time, never, or part of the time."""
        near = [distance < SHARED_CACHE_NS for distance in self.distances]
        if not near:
            return "unknown"
        return "shared" if all(near) else "apart" if not any(near) else "moved"


def compare(
    title: str, ours: Callable[[], Loop], theirs: Callable[[], Loop], turns: int, name: str = "genbench"
) -> None:
    """Alternate both trainings, each going first every other time, and print images/s of each and their ratio.

    Args:
        ours: builds genbench's loop, in the process that runs it; `functools.partial` of a module's function.
        theirs: builds the peer's.
        turns: number of turns, after one to warm up.
        name: of ours, if it is a different one.
    """
    sides = {"ours": _Side(ours), "theirs": _Side(theirs)}
    taken: list[Turn] = []
    for number in range(turns + 1):
        rates, distances = {}, [core_distance()]
        for which in sorted(sides, reverse=number % 2 == 0):
            rates[which] = sides[which].turn()
            distances.append(core_distance())
        if number:  # the first turn warms up
            known = tuple(distance for distance in distances if distance is not None)
            taken.append(Turn(rates["ours"], rates["theirs"], known))
    for side in sides.values():
        side.end()
    print(f"{title}: {name} {_summary(taken)}", flush=True)
    for caches in ("shared", "apart"):
        if some := [turn for turn in taken if turn.caches == caches]:
            print(f"  processors with the last cache {caches}: {name} {_summary(some)}", flush=True)


def _summary(turns: list[Turn]) -> str:
    ours, theirs = (statistics.median(rates) for rates in zip(*((t.ours, t.theirs) for t in turns), strict=True))
    ratios = sorted(turn.ratio for turn in turns)
    return (
        f"{ours:,.0f} images/s, peer {theirs:,.0f}, ratio {statistics.median(ratios):.2f} "
        f"(median of {len(turns)} turns, {ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


class _Side:
    """A new process that trains for a turn at a time, and sleeps during the other's turn."""

    def __init__(self, make: Callable[[], Loop]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, other))
        self._process.start()
        other.close()

    def turn(self) -> float:
        """Train for a turn and return its images/s."""
        self._connection.send("turn")
        rate: float = self._connection.recv()
        return rate

    def end(self) -> None:
        self._connection.close()
        self._process.join()


def _serve(make: Callable[[], Loop], connection: Connection) -> None:
    loop = make()
    while True:
        try:
            connection.recv()
        except EOFError:
            return
        begin = time.perf_counter()
        images = loop()
        connection.send(images / (time.perf_counter() - begin))
