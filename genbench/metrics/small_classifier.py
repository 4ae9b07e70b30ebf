"""A small classifier of images or texts that a metric trains for a few seconds, to see what can be learnt."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.metrics.constants import CAS_SIDE
from genbench.metrics.features import taken

__all__ = ["IMAGES", "Network", "predict", "texts", "train"]

_CHANNELS = (16, 32, 64)
_EMBEDDED, _WIDTHS, _REACH = 32, (64, 128), 3
_RATE = 2e-3
_CHUNK = 1024


@dataclass(frozen=True)
class Network:
    """How items of one kind become logits.

    Args:
        prepare: from stored items (N, ...) to the network's input.
        initial: the initial weights for a shape of prepared items and a number of classes, from a generator.
        logits: (N, K) of prepared items under given weights.
    """

    prepare: Callable[[Tensor], Tensor]
    initial: Callable[[torch.Size, int, torch.Generator], list[Tensor]]
    logits: Callable[[Tensor, list[Tensor]], Tensor]


def train(
    network: Network,
    pools: Sequence[tuple[Tensor, Tensor]],
    classes: int,
    steps: int,
    batch: int,
    generator: torch.Generator,
) -> list[Tensor]:
    """Return the weights after a number of Adam steps on the cross-entropy, with a cosine schedule from 0.002 to 0.

    Args:
        network: the network to train.
        pools: items (N, ...) as stored, with their labels (N,); each batch takes equally many from each pool.
        classes: K.
        steps: training steps.
        batch: items per step, drawn with replacement.
        generator: on the CPU; draws the weights and the batches.
    """
    device = pools[0][0].device
    pools = [(items, labels.to(device)) for items, labels in pools]
    share = batch // len(pools)
    # Evaluation runs without gradients, and tensors created in inference mode cannot be trained on.
    with torch.inference_mode(False), torch.enable_grad():
        first = network.initial(network.prepare(pools[0][0][:1]).shape, classes, generator)
        weights = [weight.to(device).requires_grad_() for weight in first]
        optimizer = torch.optim.Adam(weights, lr=_RATE)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            chosen = [torch.randint(len(items), (share,), generator=generator).to(device) for items, _ in pools]
            items = torch.cat([taken(pool, rows) for (pool, _), rows in zip(pools, chosen, strict=True)])
            labels = torch.cat([known[rows] for (_, known), rows in zip(pools, chosen, strict=True)])
            loss = F.cross_entropy(network.logits(network.prepare(items), weights), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return weights


def predict(network: Network, items: Tensor, weights: list[Tensor]) -> Tensor:
    """Return the predicted class (N,) int64 of each stored item."""
    with torch.no_grad():
        return torch.cat(
            [network.logits(network.prepare(part), weights).argmax(dim=1) for part in torch.split(items, _CHUNK)]
        )


def _scaled(images: Tensor) -> Tensor:
    """Scale to [-1, 1], at most 32 pixels per side."""
    height, width = (min(side, CAS_SIDE) for side in images.shape[2:])
    return F.adaptive_avg_pool2d(images.float(), (height, width)) / 127.5 - 1


def _convolutions(shape: torch.Size, classes: int, generator: torch.Generator) -> list[Tensor]:
    """He-normal weights and zero biases, layer by layer, the linear layer last."""
    _, channels, height, width = shape
    weights: list[Tensor] = []
    for out in _CHANNELS:
        weights += _layer((out, channels, 3, 3), generator)
        height, width = (-(-side // _stride(side)) for side in (height, width))
        channels = out
    return weights + _last(channels * height * width, classes, generator)


def _layer(shape: tuple[int, ...], generator: torch.Generator) -> list[Tensor]:
    spread = math.sqrt(2 / math.prod(shape[1:]))
    return [torch.randn(shape, generator=generator) * spread, torch.zeros(shape[0])]


def _last(inputs: int, classes: int, generator: torch.Generator) -> list[Tensor]:
    return [torch.randn(classes, inputs, generator=generator) / math.sqrt(inputs), torch.zeros(classes)]


def _stride(side: int) -> int:
    return 2 if side >= 8 else 1


def _of_images(images: Tensor, weights: list[Tensor]) -> Tensor:
    hidden = images
    for layer in range(len(_CHANNELS)):
        height, width = hidden.shape[2:]
        stride = (_stride(height), _stride(width))
        hidden = F.conv2d(hidden, weights[2 * layer], weights[2 * layer + 1], stride=stride, padding=1).relu()
    return F.linear(hidden.flatten(1), weights[-2], weights[-1])


IMAGES = Network(_scaled, _convolutions, _of_images)


def texts(levels: int) -> Network:
    """Return the network for texts (N, L) of `levels` symbols, including the end.

    An embedding of 32 numbers per symbol; two convolutions over 3 symbols, with 64 and 128 channels and ReLU, halving
    the length between them from 8 symbols up; a max-pool of each channel over all positions; one linear layer.
    """

    def initial(shape: torch.Size, classes: int, generator: torch.Generator) -> list[Tensor]:
        weights, channels = [torch.randn(levels, _EMBEDDED, generator=generator)], _EMBEDDED
        for wider in _WIDTHS:
            weights += _layer((wider, channels, _REACH), generator)
            channels = wider
        return weights + _last(channels, classes, generator)

    return Network(Tensor.long, initial, _of_texts)


def _of_texts(tokens: Tensor, weights: list[Tensor]) -> Tensor:
    hidden = F.embedding(tokens, weights[0]).transpose(1, 2)
    for layer in range(len(_WIDTHS)):
        if layer and tokens.shape[1] >= 8:
            hidden = F.max_pool1d(hidden, 2)
        hidden = F.conv1d(hidden, weights[2 * layer + 1], weights[2 * layer + 2], padding=_REACH // 2).relu()
    return F.linear(hidden.amax(dim=2), weights[-2], weights[-1])
