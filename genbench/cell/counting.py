"""What a cell's model costs in floating-point operations, counted apart from its training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genbench import seeding
from genbench.counters import count_flops as count_call
from genbench.flops import MOST_STEPS, StepFlops, count_steps
from genbench.losses import check_losses
from genbench.model import Model
from genbench.plugins import Plugin

__all__ = ["Flops", "count_flops"]

SAMPLES = 4  # whose FLOPs are counted

Batches = Callable[[int], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Flops:
    """The FLOPs of training steps, and of one sampled image."""

    train: StepFlops
    sample: int


def count_flops(
    plugin: Plugin,
    model: Model,
    batches: Batches,
    device: torch.device,
    most: int = MOST_STEPS,
    budget: float | None = None,
) -> Flops:
    """Count the FLOPs of training steps and of a sampled image; the model is trained by it.

    Args:
        plugin: whose hooks are counted.
        model: freshly built.
        batches: gives the batch of a step.
        device: of the model.
        most: how many training steps to count at most.
        budget: FLOPs after which no further step matters.
    """
    hook = plugin.hook

    def step(number: int) -> None:
        images, labels = batches(number)
        check_losses(plugin, hook.train_step(model=model, images=images, labels=labels, step=number))

    model.networks.train()
    train = count_steps(step, most, budget)
    model.networks.eval()
    _, labels = batches(0)
    asked = None if labels is None else labels[:1].expand(SAMPLES)
    generator = seeding.generator(0, "count", device=device)
    with torch.no_grad():
        sample = count_call(lambda: hook.sample(model=model, count=SAMPLES, labels=asked, generator=generator))
    return Flops(train, sample // SAMPLES)
