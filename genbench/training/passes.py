"""Passes over a whole split, as hooks see it: for what precedes the first step, and for sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from genbench.datasets.dataset import Split
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model

__all__ = ["Passes", "before_training", "passes"]

BATCH = 250


def passes(split: Split, batch_size: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor | None]]:
    """One pass over a split in order, as (batch, labels or None) as hooks see them, on the device."""
    for first in range(0, len(split), batch_size):
        rows = slice(first, first + batch_size)
        labels = None if split.labels is None else split.labels[rows].to(device)
        yield split.kind.deliver(split.items[rows].to(device)), labels


@dataclass(frozen=True)
class Passes:
    """A split that can be iterated over any number of times, always in the same order."""

    split: Split
    device: torch.device

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        return passes(self.split, BATCH, self.device)


def before_training(plugin: Plugin, model: Model, split: Split, device: torch.device) -> Callable[[], None] | None:
    """Return a function that calls the hook `before_training`; None if the plugin does not have it."""
    if not plugin.implements("before_training"):
        return None
    return lambda: plugin.hook.before_training(model=model, batches=Passes(split, device))
