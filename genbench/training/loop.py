"""The loop: batches, `train_step`, windows and curve rows; as fast as a bare one, because it rarely synchronises.

A window is a run of steps between two readings of the clock. Windows end where a curve row or an evaluation is due, so
for a budget in steps, items or FLOPs their ends depend only on the budget, and the numbers repeat exactly.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from genbench import seeding
from genbench.datasets.dataset import Split
from genbench.machine.precision import allow_tf32, float32_precision, set_float32_precision
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.training.losses import window_means

__all__ = ["Batches", "Progress", "Row", "Schedule", "Together", "TrainStep", "in_precision", "train", "window"]

ROWS = 100  # number of curve rows, and so of windows, that a budget is divided into
LARGEST_RESIDENT_SHARE = 0.5  # of the device's free memory

TrainStep = Callable[..., dict[str, Tensor]]  # takes the arguments of the hook `train_step`, by name


class Batches:
    """The training split as batches by step number: each epoch in a new order, incomplete batches dropped.

    The items are one tensor on the device if they fit there; a batch is an index plus whatever the kind does to deliver
    it, for images a cast and a scaling. The order depends only on the seed and the epoch, so training can resume at any
    step.
    """

    def __init__(
        self, split: Split, batch_size: int, seed: int, device: torch.device, rank: int = 0, ranks: int = 1
    ) -> None:
        """Put the items where batches are taken from.

        Args:
            split: the training split.
            batch_size: over all ranks together; a multiple of `ranks`.
            seed: seeds the order.
            device: where batches go.
            rank: whose rows of each batch to return, from 0.
            ranks: how many share a batch; each gets equally many rows, in order of rank.
        """
        self.batch_size = batch_size
        self.rank, self.ranks = rank, ranks
        self.device = device
        self.per_epoch = len(split) // batch_size
        self.resident = _fits(split.items, device)
        self._home = device if self.resident else torch.device("cpu")
        self._items = split.items.to(self._home)
        self._labels = None if split.labels is None else split.labels.to(self._home)
        self._count = len(split)
        self._deliver = split.kind.deliver
        self._seed = seed
        self._epoch = -1
        self._order: tuple[Tensor, ...] = ()

    def __call__(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Return the rank's items (B / ranks, ...) as hooks see them, and labels, int64 or None, for one step."""
        epoch, index = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._shuffle(epoch)
        rows = self._order[index]
        items = self._items.index_select(0, rows)
        labels = None if self._labels is None else self._labels.index_select(0, rows)
        if not self.resident:
            items = items.pin_memory().to(self.device, non_blocking=True)
            labels = None if labels is None else labels.pin_memory().to(self.device, non_blocking=True)
        return self._deliver(items), labels

    def _shuffle(self, epoch: int) -> None:
        order = torch.randperm(self._count, generator=seeding.generator(self._seed, "batches", epoch))
        whole = order[: self.per_epoch * self.batch_size].view(self.per_epoch, self.ranks, -1)
        self._order = whole[:, self.rank].to(self._home).unbind()
        self._epoch = epoch


def _fits(items: Tensor, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return items.numel() * items.element_size() < free * LARGEST_RESIDENT_SHARE


@dataclass
class Row:
    """One point of a curve: how far training was, mean losses since the previous row, and quality where measured."""

    step: int
    items: int
    elapsed_s: float
    flops: float = 0.0  # known when the steps have been counted
    losses: dict[str, float] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass
class Progress:
    """How far a cell's training has come; with the model and the generators' state, it makes up a checkpoint."""

    step: int = 0
    elapsed_s: float = 0.0
    rows: list[Row] = field(default_factory=list)
    windows: list[tuple[int, float]] = field(default_factory=list)  # (items, seconds) of each window
    evaluated: int = -1  # the last completed evaluation; 0 is the one before the first step
    before_s: float = 0.0  # the part of the elapsed time before the first step

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Progress:
        rows = [Row(**row) for row in data["rows"]]
        progress = cls(**{**data, "rows": rows, "windows": [tuple(window) for window in data["windows"]]})
        counts = (progress.step, progress.evaluated)
        if not all(type(count) is int and count >= -1 for count in counts) or not 0 <= progress.elapsed_s < math.inf:
            raise ValueError("step, evaluation or time out of range")
        if progress.step != (rows[-1].step if rows else 0):
            raise ValueError("the last row is of another step")
        return progress


@dataclass(frozen=True)
class Schedule:
    """When a training ends, and where it is evaluated: by steps, or by seconds when `steps` is None.

    >>> Schedule(steps=10, seconds=None, evaluations=2).due(Progress(step=5))
    1
    """

    steps: int | None
    seconds: float | None
    evaluations: int

    def fraction(self, progress: Progress) -> float:
        """Return the share of the budget that is spent."""
        if self.steps is not None:
            return progress.step / self.steps
        return progress.elapsed_s / (self.seconds or math.inf)

    def due(self, progress: Progress) -> int:
        """Return the number of the latest evaluation that is due: 0 before the first step, `evaluations` at the end."""
        if self.steps is not None:
            return max(i for i in range(self.evaluations + 1) if self._evaluation_step(i) <= progress.step)
        return min(self.evaluations, int(self.fraction(progress) * self.evaluations + 1e-9))

    def window(self, progress: Progress) -> int:
        """Return the number of steps of the next window; 0 when the budget is spent."""
        if self.steps is not None:
            return next((end - progress.step for end in self._ends if end > progress.step), 0)
        seconds = self.seconds or 0.0
        if not progress.windows:
            return 1
        left = seconds - progress.elapsed_s
        if left <= 0:
            return 0
        steps, taken = progress.step, progress.elapsed_s - progress.before_s
        if len(progress.windows) > 1:  # the first window includes compilation and other one-time work
            steps, taken = steps - 1, taken - progress.windows[0][1]
        rate = steps / max(taken, 1e-9)
        return max(1, min(round(rate * seconds / ROWS), math.ceil(rate * left)))

    @functools.cached_property
    def _ends(self) -> list[int]:
        """The steps at which windows of a budget in steps end, in order."""
        steps = self.steps or 0
        ends = {min(steps, round(steps * (i + 1) / ROWS)) for i in range(ROWS)}
        return sorted(ends | {self._evaluation_step(i) for i in range(1, self.evaluations + 1)})

    def _evaluation_step(self, number: int) -> int:
        return math.ceil((self.steps or 0) * number / self.evaluations)


class Together(Protocol):
    """Other ranks that train the same model, and are told what to do."""

    def begin(self, first: int, steps: int) -> None:
        """Make the others run that many steps, from number `first` on."""

    def end(self, step: int, means: dict[str, float]) -> dict[str, float]:
        """Return the losses of a window that ended with `step`, averaged over this rank's `means` and the others'."""


@contextlib.contextmanager
def in_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Run a block in a training precision: `fp32` without TF32, `tf32` (CUDA) with it, `bf16` under autocast."""
    if precision == "bf16":
        # No weight cache: a step that uses a network again after updating it would get the previous weights, and a CUDA
        # graph would keep copies that it does not own.
        with torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False):
            yield
    elif device.type != "cuda":
        yield
    else:
        with _tf32(precision == "tf32"):
            yield


@contextlib.contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 in products and convolutions, then restore what a program has set."""
    before = float32_precision()
    allow_tf32(allowed)
    own = float32_precision()
    try:
        yield
    finally:
        # Whatever a step has set is left as it is, so that the check of the shared world finds it.
        if float32_precision() == own:
            set_float32_precision(before)


def train(
    plugin: Plugin,
    model: Model,
    batches: Batches,
    schedule: Schedule,
    progress: Progress,
    *,
    clock: Callable[[], float],
    precision: str = "fp32",
    prepare: Callable[[], None] | None = None,
    step: TrainStep | None = None,
    evaluate: Callable[[Progress], dict[str, float]] | None = None,
    after_window: Callable[[Progress], None] | None = None,
    enough: Callable[[Progress], bool] | None = None,
    together: Together | None = None,
) -> None:
    """Train until the budget is spent, or until `enough` says so, advancing `progress` in place.

    Args:
        clock: seconds from an arbitrary point, read after the device has finished all work.
        prepare: sees the data before the first step, on the clock; skipped when training resumes.
        step: runs a training step in place of the plugin's hook, as `capture.ReplayedStep` does.
        evaluate: measures quality off the clock; called before the first step and at each evaluation except the last.
        after_window: called off the clock after each window, for progress bars and checkpoints.
        enough: called whenever there may be a new evaluation, and on resuming; true ends training. It may use only the
            rows, so a resumed training run ends where it would have ended.
        together: the other ranks of this training run, for which `step` waits.

    Raises:
        PluginError: `train_step` returned anything but a dict of detached 0-d tensors, or a loss is not finite.
    """
    if prepare is not None and progress.step == 0:
        model.networks.train()
        begin = clock()
        with in_precision(precision, batches.device):
            prepare()
        progress.before_s = progress.elapsed_s = clock() - begin
    step = step or plugin.function("train_step")
    _evaluate(schedule, progress, evaluate)
    while not (enough is not None and enough(progress)) and (steps := schedule.window(progress)):
        if together is not None:
            together.begin(progress.step, steps)
        begin = clock()
        losses = window(step, model, batches, progress.step, steps, precision)
        seconds = clock() - begin
        progress.step += steps
        progress.elapsed_s += seconds
        progress.windows.append((steps * batches.batch_size, seconds))
        items = progress.step * batches.batch_size
        means = window_means(plugin, losses, progress.step - steps)
        if together is not None:
            means = together.end(progress.step - 1, means)
        progress.rows.append(Row(progress.step, items, progress.elapsed_s, losses=means))
        _evaluate(schedule, progress, evaluate)
        if after_window is not None:
            after_window(progress)


def _evaluate(schedule: Schedule, progress: Progress, evaluate: Callable[[Progress], dict[str, float]] | None) -> None:
    due = schedule.due(progress)
    # The one at the end of the budget is up to the caller: it measures every number, not only those of the curve.
    if evaluate is None or due <= progress.evaluated or due == schedule.evaluations:
        return
    if not progress.rows:
        progress.rows.append(Row(0, 0, progress.elapsed_s))
    progress.rows[-1].numbers = evaluate(progress)
    progress.evaluated = due


def window(
    hook: TrainStep, model: Model, batches: Batches, first: int, steps: int, precision: str
) -> list[dict[str, Tensor]]:
    """Run `steps` training steps, from number `first` on, in training mode; nothing here waits for the device."""
    # Setting every module's mode takes a hundredth of a small step; checking it does not.
    if not all(module.training for module in model.networks.modules()):
        model.networks.train()
    losses: list[dict[str, Tensor]] = []
    with in_precision(precision, batches.device):
        for step in range(first, first + steps):
            batch, labels = batches(step)
            losses.append(hook(model=model, batch=batch, labels=labels, step=step))
    return losses
