"""Draws items from a model in batches, checks what it returned, and stores them as their kind does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from genbench import seeding
from genbench.datasets.dataset import Dataset, Split
from genbench.errors import PluginError
from genbench.kinds.kind import Kind, Misfit
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.training.checksum import checksum
from genbench.training.off_clock import stepping

__all__ = ["BATCH", "check", "draw", "draw_labels", "prepare", "trained_parameters", "untouched"]

BATCH = 250  # part of a number's identity: the generator's use depends on how many items a call requests


def draw_labels(split: Split, count: int, generator: torch.Generator) -> Tensor | None:
    """Draw `count` labels (int64, on the CPU) with the split's own frequencies; None for a split without labels."""
    if split.labels is None:
        return None
    return split.labels[torch.randint(len(split), (count,), generator=generator)]


@contextlib.contextmanager
def untouched(plugin: Plugin, model: Model, hooks: str) -> Iterator[None]:
    """Raise `PluginError` if the block changes anything that is trained: that would be training off the clock.

    Args:
        plugin: named in the message.
        model: the parameters that require gradients or that an optimizer holds are watched.
        hooks: the hooks that the block calls.
    """
    before = {name: int(checksum(value)) for name, value in trained_parameters(model).items()}
    yield
    # By name, since a parameter that was trained may have been frozen, taken from its optimizer or replaced meanwhile.
    after = {name: int(checksum(value)) for name, value in model.networks.named_parameters()}
    watched = [*before, *trained_parameters(model)]
    changed = next((name for name in watched if name not in before or before[name] != after.get(name)), None)
    if changed is not None:
        raise PluginError(
            f"{plugin}: {hooks} changed {changed}, which is trained; train only in train_step, where time and FLOPs "
            "are counted, and keep in buffers what is fitted for sampling"
        )


def trained_parameters(model: Model) -> dict[str, Tensor]:
    """Return the parameters that training changes, by name: they require gradients, or an optimizer holds them."""
    held = {
        id(each)
        for optimizer in model.optimizers.values()
        for group in optimizer.param_groups
        for each in group["params"]
    }
    named = model.networks.named_parameters()
    return {name: value for name, value in named if value.requires_grad or id(value) in held}


def prepare(plugin: Plugin, model: Model, batches: Iterable[tuple[Tensor, Tensor | None]]) -> list[str]:
    """Call `before_sampling`, if the plugin has it, in evaluation mode and without gradients.

    Returns:
        the types of optimizers that took a step, of the model or not: whatever they trained, it was off the clock.
    """
    if not plugin.implements("before_sampling"):
        return []
    model.networks.eval()
    with torch.no_grad(), stepping() as stepped:
        plugin.hook.before_sampling(model=model, batches=batches)
    return stepped


def draw(
    plugin: Plugin,
    model: Model,
    dataset: Dataset,
    count: int,
    seed: int,
    device: torch.device,
    after_batch: Callable[[int], None] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Draw `count` items: (count, ...) as stored, and the requested labels (int64 or None), both on the CPU.

    Args:
        seed: seeds the generators from which the labels and the plugin draw.
        after_batch: called with the number of items after each batch.

    Raises:
        PluginError: `sample` returned another shape or type, a NaN, or values outside [-1, 1].
    """
    labels = draw_labels(dataset.train, count, seeding.generator(seed, "sample labels"))
    generator = seeding.generator(seed, "sample", device=device)
    items = torch.empty((count, *dataset.shape), dtype=dataset.train.items.dtype)
    model.networks.eval()
    with torch.no_grad():
        for first in range(0, count, BATCH):
            size = min(BATCH, count - first)
            batch_labels = None if labels is None else labels[first : first + size].to(device)
            batch = plugin.hook.sample(model=model, count=size, labels=batch_labels, generator=generator)
            checked = check(plugin, "sample", dataset.kind, batch, (size, *dataset.shape))
            items[first : first + size] = dataset.kind.store(checked).cpu()
            if after_batch is not None:
                after_batch(size)
    return items, labels


def check(plugin: Plugin, hook: str, kind: Kind, returned: object, expected: Sequence[int]) -> Tensor:
    """Return a hook's result as a plain tensor; raise `PluginError` unless it is such a batch."""
    try:
        return kind.check(returned, expected)
    except Misfit as error:
        raise PluginError(f"{plugin}: {hook} returned {error}") from None
