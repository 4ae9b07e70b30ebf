"""The small classifier that fits itself to any image shape, and the one procedure that trains it.

The digits that ship with genbench and every `classifier` in a cache are this network, trained by this procedure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import seeding
from genbench.datasets.dataset import Split

__all__ = ["FEATURES", "PROCEDURE", "Classifier", "scaled", "train_classifier"]

FEATURES = 64
PROCEDURE = "classifier-1"  # raise the number whenever a change here changes the weights
_WIDTHS = (16, 32, 64, 128)
_SLOPE = 0.1
_BATCH = 64
_EPOCHS, _FEWEST_STEPS, _MOST_STEPS = 6, 800, 4000
_NORMALISED_ON = 2048
_LEARNING_RATE, _WEIGHT_DECAY = 3e-3, 1e-2


class Classifier(nn.Module):
    """From (B, C, H, W) in [-1, 1] to (B, 64) features (the last layer's input) and (B, K) logits.

    Images of at least 4 pixels a side go through 3 x 3 convolutions, halving until fewer than 8 pixels are left; a
    strided first layer brings sides over 48 down. Smaller ones go through two fully connected layers.
    """

    def __init__(self, shape: torch.Size, classes: int) -> None:
        super().__init__()
        layers, inputs = _convolutions(shape) if min(shape[1:]) >= 4 else _connected(shape)
        self.body = nn.Sequential(*layers)
        self.embed = nn.Linear(inputs, FEATURES)
        self.classify = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = F.leaky_relu(self.embed(self.body(x)), _SLOPE)
        return features, self.classify(features)

    @torch.no_grad()
    def set_feature_scale(self, factor: float) -> None:
        """Multiply the features by `factor` and leave the logits as they are (a leaky ReLU lets a factor through)."""
        self.embed.weight.mul_(factor)
        self.embed.bias.mul_(factor)
        self.classify.weight.div_(factor)


def _convolutions(shape: torch.Size) -> tuple[list[nn.Module], int]:
    """Return the layers and how many numbers an image is after them."""
    channels, height, width = shape
    stride = max(1, round(min(height, width) / 32))
    layers: list[nn.Module] = []
    for wider in _WIDTHS:
        layers.append(nn.Conv2d(channels, wider, 2 * stride + 1, stride, stride, bias=False))
        channels, height, width = wider, -(-height // stride), -(-width // stride)
        stride = 1
        halved = min(height, width) >= 8
        if halved:  # before the rest of the layer, which then costs a quarter
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        layers += [nn.BatchNorm2d(channels), nn.LeakyReLU(_SLOPE, inplace=True)]
        if not halved:
            break
    return [*layers, nn.Flatten()], channels * height * width


def _connected(shape: torch.Size) -> tuple[list[nn.Module], int]:
    hidden = 128
    return [nn.Flatten(), nn.Linear(shape.numel(), hidden), nn.LeakyReLU(_SLOPE)], hidden


def train_classifier(
    shape: torch.Size, classes: int, split: Split, progress: Callable[[int, int], None] | None = None
) -> Classifier:
    """Train on `split` on the CPU and return the network in evaluation mode, its features scaled to mean variance 1.

    AdamW with one cycle of the learning rate, cross-entropy, and shifts of up to a fourteenth of the side.
    All randomness comes from one fixed seed, and one thread computes, so that the bits do not depend on how many there
    are; torch's generators, thread count and gradient mode are left as they were.

    Args:
        shape: (C, H, W).
        classes: K, at least 2.
        split: labelled images.
        progress: called with (step, steps).
    """
    assert split.labels is not None
    steps = min(max(_EPOCHS * len(split) // _BATCH, _FEWEST_STEPS), _MOST_STEPS)
    randomness = seeding.generator(0, PROCEDURE, "batches")
    batches = _batches(len(split), randomness)
    with _isolated():
        network = Classifier(shape, classes)
        optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps)
        for step in range(steps):
            chosen = next(batches)
            images = _shifted(scaled(split.items[chosen]), randomness)
            loss = F.cross_entropy(network(images)[1], split.labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if progress is not None:
                progress(step + 1, steps)
        _normalise(network.eval().requires_grad_(False), split.items[:_NORMALISED_ON])
    return network


@contextlib.contextmanager
def _isolated() -> Iterator[None]:
    """One thread, gradients, and torch's CPU generator freshly seeded; everything is put back at the end."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
            torch.default_generator.manual_seed(seeding.derive(0, PROCEDURE, "weights"))
            yield
    finally:
        torch.set_num_threads(threads)


def _batches(count: int, randomness: torch.Generator) -> Iterator[Tensor]:
    """Yield indices without end, each image once a pass."""
    order = torch.empty(0, dtype=torch.int64)
    while True:
        while len(order) < _BATCH:
            order = torch.cat([order, torch.randperm(count, generator=randomness)])
        yield order[:_BATCH]
        order = order[_BATCH:]


def _normalise(network: Classifier, images: Tensor) -> None:
    """Scale the features to mean variance 1: distances on different datasets are then of one order."""
    features = network(scaled(images))[0]
    variance = features.double().var(dim=0).mean().item()
    if variance > 0:
        network.set_feature_scale(variance**-0.5)


def scaled(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [-1, 1]."""
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def _shifted(images: Tensor, randomness: torch.Generator) -> Tensor:
    """Shift the whole batch by one random offset of at most a fourteenth of its sides, edge pixels repeated."""
    height, width = images.shape[2:]
    rows, columns = height // 14, width // 14
    if rows == 0 and columns == 0:
        return images
    padded = F.pad(images, (columns, columns, rows, rows), mode="replicate")
    top = int(torch.randint(2 * rows + 1, (), generator=randomness))
    left = int(torch.randint(2 * columns + 1, (), generator=randomness))
    return padded[:, :, top : top + height, left : left + width]
