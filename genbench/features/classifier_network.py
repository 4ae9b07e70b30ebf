"""The small classifier that fits itself to any image shape, and the one procedure that trains it.

The digits that ship with genbench and every `classifier` in a cache are this network, trained by this procedure.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import seeding
from genbench.datasets.dataset import Split

__all__ = ["FEATURES", "PROCEDURE", "Classifier", "train_classifier"]

FEATURES = 64
PROCEDURE = "classifier-1"  # raise the number whenever a change here changes the weights
_WIDTHS = (32, 48, 96, 128)
_SLOPE = 0.1
_BATCH = 128
_EPOCHS, _FEWEST_STEPS, _MOST_STEPS = 8, 500, 3000
_LEARNING_RATE, _WEIGHT_DECAY, _DROPOUT = 3e-3, 1e-2, 0.2


class Classifier(nn.Module):
    """From (B, C, H, W) in [-1, 1] to (B, 64) features (the last layer's input) and (B, K) logits.

    Images of at least 4 pixels a side go through 3 x 3 convolutions, halving until fewer than 8 pixels are left; a
    strided first layer brings sides over 48 down. Smaller ones go through two fully connected layers.
    """

    def __init__(self, image_shape: torch.Size, classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        layers = _convolutions(channels, min(height, width)) if min(height, width) >= 4 else []
        with torch.device("meta"):
            body = nn.Sequential(*_convolutions(channels, min(height, width)) if layers else [], nn.Flatten())
            inputs = body(torch.empty(1, *image_shape)).shape[1]
        hidden = [] if layers else [nn.Linear(inputs, 128), nn.LeakyReLU(_SLOPE)]
        self.body = nn.Sequential(*layers, nn.Flatten(), *hidden)
        self.embed = nn.Linear(inputs if layers else 128, FEATURES)
        self.classify = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = F.leaky_relu(self.embed(self.body(x)), _SLOPE)
        return features, self.classify(F.dropout(features, _DROPOUT, self.training))

    @torch.no_grad()
    def set_feature_scale(self, factor: float) -> None:
        """Multiply the features by `factor` and leave the logits as they are (a leaky ReLU lets a factor through)."""
        self.embed.weight.mul_(factor)
        self.embed.bias.mul_(factor)
        self.classify.weight.div_(factor)


def _convolutions(channels: int, side: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width in _WIDTHS:
        stride = max(1, round(side / 32)) if not layers else 1
        convolution = nn.Conv2d(channels, width, 2 * stride + 1, stride, stride, bias=False)
        layers += [convolution, nn.BatchNorm2d(width), nn.LeakyReLU(_SLOPE)]
        channels, side = width, -(-side // stride)
        if side < 8:
            break
        layers.append(nn.MaxPool2d(2))
        side //= 2
    return layers


def train_classifier(
    image_shape: torch.Size, classes: int, split: Split, progress: Callable[[int, int], None] | None = None
) -> Classifier:
    """Train on `split` on the CPU and return the network in evaluation mode, its features scaled to mean variance 1.

    AdamW with one cycle of the learning rate, cross-entropy, dropout, and shifts of up to a fourteenth of the side.
    All randomness comes from one fixed seed; torch's global generators are left as they were. The same machine and
    number of threads give the same bits.

    Args:
        image_shape: (C, H, W).
        classes: K, at least 2.
        split: labelled images.
        progress: called with (step, steps).
    """
    assert split.labels is not None
    network = _initialised(image_shape, classes).to(memory_format=torch.channels_last)
    randomness = seeding.generator(0, PROCEDURE, "batches")
    steps = min(max(_EPOCHS * len(split) // _BATCH, _FEWEST_STEPS), _MOST_STEPS)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps)
    order = torch.empty(0, dtype=torch.int64)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(seeding.derive(0, PROCEDURE, "dropout"))
        for step in range(steps):
            while len(order) < _BATCH:
                order = torch.cat([order, torch.randperm(len(split), generator=randomness)])
            chosen, order = order[:_BATCH], order[_BATCH:]
            images = _shifted(_scaled(split.images[chosen]), randomness)
            loss = F.cross_entropy(network(images)[1], split.labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if progress is not None:
                progress(step + 1, steps)
    network.eval().requires_grad_(False)
    sample = split.images[torch.randperm(len(split), generator=randomness)[:2048]]
    with torch.inference_mode():
        variance = network(_scaled(sample))[0].double().var(dim=0).mean().item()
    if variance > 0:
        network.set_feature_scale(variance**-0.5)
    return network


def _initialised(image_shape: torch.Size, classes: int) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeding.derive(0, PROCEDURE, "weights"))
        return Classifier(image_shape, classes)


def _scaled(images: Tensor) -> Tensor:
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
