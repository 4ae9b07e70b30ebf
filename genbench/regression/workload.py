"""One model at one fixed shape, ready to step: what `counters` counts, and what benchmarks and `regress` time.

`regress` runs this file alongside another revision's genbench, so it uses as little of genbench as possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from genbench import seeding
from genbench.config import ModelSpec
from genbench.datasets.dataset import Split
from genbench.kinds import kind_of_shape
from genbench.plugin import finding, loading, options
from genbench.plugin.data import Training
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.training import cost, loop
from genbench.training.loop import Batches, Progress, Schedule
from genbench.training.passes import before_training

__all__ = ["BATCH", "CLASSES", "SHAPES", "Timer", "Windows", "Workload", "random_split", "workload_for"]

BATCH = 64
CLASSES = 10
SHAPES: tuple[tuple[int, ...], ...] = ((1, 8, 8), (1, 28, 28))
ITEMS = 4096  # an epoch of 64 batches: its shuffling is part of the loop, and rare


def random_split(shape: Sequence[int], count: int = ITEMS) -> Split:
    """Return `count` items of noise with labels, the same each time: the content does not affect the timing.

    Args:
        shape: of an item; it determines the kind.
        count: number of items.
    """
    kind = kind_of_shape(shape)
    generator = seeding.generator(0, "workload")
    items = kind.random(count, shape, generator)
    return Split(items, torch.randint(CLASSES, (count,), generator=generator), kind)


@dataclass
class Workload:
    """A built model with its batches. Steps continue where the last ones ended, as in one training run."""

    plugin: Plugin
    model: Model
    batches: Batches
    device: torch.device
    progress: Progress = field(default_factory=Progress)

    def step(self, number: int) -> dict[str, Tensor]:
        """Run one training step as the loop does: the batch, then the plugin's hook."""
        batch, labels = self.batches(number)
        losses: dict[str, Tensor] = self.plugin.hook.train_step(
            model=self.model, batch=batch, labels=labels, step=number
        )
        return losses

    def train(self, windows: int, steps: int, timer: Callable[[], float]) -> None:
        """Run the training loop for `windows` windows of `steps` steps; `timer` serves as the loop's clock."""
        schedule = Windows(None, None, 1, steps, self.progress.step + windows * steps)
        loop.train(self.plugin, self.model, self.batches, schedule, self.progress, clock=timer)
        self.progress.rows.clear()
        self.progress.windows.clear()


class Timer:
    """A clock for the loop that records both ends of each window on several clocks, the first being the loop's own.

    Args:
        clocks: each returns seconds from an arbitrary point.
        device: is synchronised before a clock is read.
    """

    def __init__(self, clocks: Mapping[str, Callable[[], float]], device: torch.device) -> None:
        self.clocks = dict(clocks)
        self.device = device
        self._begun: list[float] | None = None
        self.windows: dict[str, list[float]] = {name: [] for name in clocks}

    def __call__(self) -> float:
        cost.synchronise(self.device)
        now = [clock() for clock in self.clocks.values()]
        if self._begun is None:
            self._begun = now
        else:
            for seconds, begin, end in zip(self.windows.values(), self._begun, now, strict=True):
                seconds.append(end - begin)
            self._begun = None
        return now[0]


@dataclass(frozen=True)
class Windows(Schedule):
    """Windows of `window_steps` steps up to the step `end`, and no evaluation."""

    window_steps: int
    end: int

    def window(self, progress: Progress) -> int:
        return self.window_steps if progress.step < self.end else 0

    def due(self, progress: Progress) -> int:
        return 0


def workload_for(
    model: str,
    shape: Sequence[int],
    batch_size: int = BATCH,
    device: torch.device | None = None,
    compile_backend: str | None = None,
) -> Workload:
    """Load and build `model` (as `-m` names it) for items of `shape`, in training mode, from one seed.

    Args:
        compile_backend: compiles the networks as `--compile` does, with this backend of `torch.compile`.

    Raises:
        InputError: no such model or option.
        PluginError: the plugin cannot be loaded.
    """
    device = device or torch.device("cpu")
    spec = ModelSpec.parse(model)
    plugin = loading.load(finding.find(spec))
    seeding.seed_global(0, "build")
    split = random_split(shape)
    data = split.kind.data(shape, len(split), CLASSES)
    built: Model = options.build(plugin, data, Training(None, batch_size), spec.options, device)
    if compile_backend is not None:
        from genbench.training.compilation import compile_networks  # only here: an older revision may not have it

        compile_networks(built, compile_backend)
    seeding.seed_global(0, "train")
    built.networks.train()
    if (prepare := before_training(plugin, built, split, device)) is not None:
        prepare()
    return Workload(plugin, built, Batches(split, batch_size, 0, device), device)
