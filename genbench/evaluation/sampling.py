"""Draws images from a model in batches, checks what it gave, and rounds to uint8 in the one place that does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from genbench import seeding
from genbench.datasets.dataset import Dataset, Split
from genbench.errors import PluginError
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.plugin.returned import FLOATS, Unusable, plain
from genbench.training.loop import scale

__all__ = ["BATCH", "check", "draw", "draw_labels", "passes", "prepare", "to_uint8", "trained_parameters", "untouched"]

BATCH = 250  # part of a number's identity: the generator's use depends on how many images a call asks for
_SAME_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # integers, by bytes
TOLERANCE = 1e-3  # how far outside [-1, 1] arithmetic in half precision may land


def to_uint8(images: Tensor) -> Tensor:
    """Round images in [-1, 1] to uint8: `((x + 1) * 127.5).round().clamp(0, 255)`."""
    return images.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def draw_labels(split: Split, count: int, generator: torch.Generator) -> Tensor | None:
    """Draw `count` labels (int64, on the CPU) by the split's own frequencies; None for a split without labels."""
    if split.labels is None:
        return None
    return split.labels[torch.randint(len(split), (count,), generator=generator)]


def passes(split: Split, batch_size: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor | None]]:
    """One pass over a split in its order, as (images float32 in [-1, 1], labels or None) on the device."""
    for first in range(0, len(split), batch_size):
        rows = slice(first, first + batch_size)
        labels = None if split.labels is None else split.labels[rows].to(device)
        yield scale(split.images[rows].to(device)), labels


@contextlib.contextmanager
def untouched(plugin: Plugin, model: Model, hooks: str) -> Iterator[None]:
    """Raise `PluginError` where the block changes what is trained: it would be trained off the clock.

    Args:
        plugin: what the message names.
        model: whose parameters are looked at: those that require gradients, and those that an optimizer holds.
        hooks: that the block calls.
    """
    before = {name: _checksum(value) for name, value in trained_parameters(model).items()}
    yield
    after = trained_parameters(model)
    changed = next((name for name in after if before.get(name) != _checksum(after[name])), None)
    if changed is not None:
        raise PluginError(
            f"{plugin}: {hooks} changed {changed}, which is trained; train in train_step alone, where time and FLOPs "
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


def _checksum(parameter: Tensor) -> int:
    """Return a number that another content would hardly give, without a copy: memory is among what is measured."""
    values = parameter.detach()
    if values.is_complex():
        values = torch.view_as_real(values)
    bits = values.contiguous().view(_SAME_SIZE[values.element_size()]).reshape(len(values) if values.dim() else 1, -1)
    weights = torch.arange(1, len(bits) + 1, device=bits.device)  # rows that change places count too
    return int((bits.sum(1, dtype=torch.int64) * weights).sum())


def prepare(plugin: Plugin, model: Model, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
    """Call `before_sampling`, if the plugin has it, in evaluation mode and without gradients."""
    if plugin.implements("before_sampling"):
        model.networks.eval()
        with torch.no_grad():
            plugin.hook.before_sampling(model=model, batches=batches)


def draw(
    plugin: Plugin,
    model: Model,
    dataset: Dataset,
    count: int,
    seed: int,
    device: torch.device,
    after_batch: Callable[[int], None] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Draw `count` images: (count, C, H, W) uint8 and the labels asked for (int64 or None), both on the CPU.

    Args:
        seed: of the generators that the labels and the plugin draw from.
        after_batch: called with the number of images after each batch.

    Raises:
        PluginError: `sample` gave another shape or type, a NaN, or values outside [-1, 1].
    """
    labels = draw_labels(dataset.train, count, seeding.generator(seed, "sample labels"))
    generator = seeding.generator(seed, "sample", device=device)
    images = torch.empty((count, *dataset.image_shape), dtype=torch.uint8)
    model.networks.eval()
    with torch.no_grad():
        for first in range(0, count, BATCH):
            size = min(BATCH, count - first)
            batch_labels = None if labels is None else labels[first : first + size].to(device)
            batch = plugin.hook.sample(model=model, count=size, labels=batch_labels, generator=generator)
            checked = check(plugin, "sample", batch, (size, *dataset.image_shape))
            images[first : first + size] = to_uint8(checked).cpu()
            if after_batch is not None:
                after_batch(size)
    return images, labels


def check(plugin: Plugin, hook: str, images: object, expected: tuple[int, ...]) -> Tensor:
    """Return `images` as a plain tensor; raise `PluginError` unless they are floats of that shape within [-1, 1]."""
    try:
        found = plain(images, FLOATS)
    except Unusable as error:
        raise PluginError(
            f"{plugin}: {hook} returned {error}, expected a float tensor of shape {expected} in [-1, 1]"
        ) from None
    if tuple(found.shape) != expected:
        raise PluginError(f"{plugin}: {hook} returned {tuple(found.shape)}, expected {expected}")
    low, high = (float(value) for value in found.detach().aminmax())
    if not low >= -1 - TOLERANCE or not high <= 1 + TOLERANCE:  # written so that NaN fails too
        shown = "NaN" if low != low or high != high else f"values in [{low:.4g}, {high:.4g}]"
        raise PluginError(f"{plugin}: {hook} returned {shown}, expected values in [-1, 1]; end the network with tanh")
    return found
