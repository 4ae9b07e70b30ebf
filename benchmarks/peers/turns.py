"""Two loops that take turns on the same images, so that a machine whose speed drifts slows both."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from genbench import datasets, options, plugins, seeding, training
from genbench.config import ModelSpec
from genbench.datasets.dataset import Dataset
from genbench.model import Model
from genbench.training import Batches, Progress, Schedule

__all__ = ["BATCH", "arguments", "build", "compare", "harness", "mnist"]

BATCH = 64
CPU = torch.device("cpu")


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


def harness(name: str, data: Dataset) -> Callable[[], int]:
    """Return a loop of genbench's over one epoch; it gives the number of images that it trained on."""
    plugin = plugins.load(plugins.find(ModelSpec.parse(name)))
    model, batches = build(name, data), Batches(data.train, BATCH, 0, CPU)

    def epoch() -> int:
        schedule = Schedule(batches.per_epoch, None, 1)
        training.train(plugin, model, batches, schedule, Progress(), clock=time.perf_counter)
        return batches.per_epoch * BATCH

    return epoch


def compare(title: str, ours: Callable[[], int], theirs: Callable[[], int], turns: int) -> None:
    """Let both train in turn, each first every other time, and print images/s of each and their ratio."""
    rates: dict[str, list[float]] = {"genbench": [], "peer": []}
    loops = {"genbench": ours, "peer": theirs}
    for turn in range(turns + 1):
        for name in sorted(loops, reverse=turn % 2 == 0):
            begin = time.perf_counter()
            images = loops[name]()
            if turn:  # the first turn warms up
                rates[name].append(images / (time.perf_counter() - begin))
    ratios = sorted(a / b for a, b in zip(rates["genbench"], rates["peer"], strict=True))
    ours_rate, theirs_rate = (statistics.median(values) for values in rates.values())
    print(
        f"{title}: genbench {ours_rate:,.0f} images/s, peer {theirs_rate:,.0f}, "
        f"ratio {statistics.median(ratios):.2f} (median of {turns} turns, {ratios[0]:.2f} to {ratios[-1]:.2f})",
        flush=True,
    )
