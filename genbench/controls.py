"""The controls: models that are no models, and anchor a table.

`real` draws held-out images: the floor that a distance has at this sample count. `gaussian` knows the pixels' mean and
covariance and nothing else. `noise` knows nothing. `copycat` replays training images: the best distance there is, and
no generative model, which is what the memorisation metrics must catch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from genbench.config import CONTROLS
from genbench.datasets.dataset import Dataset, Split

__all__ = ["draw"]

LARGEST_COVARIANCE = 4096  # pixels; above it the covariance is never formed

def draw(name: str, dataset: Dataset, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` images, (count, C, H, W) uint8."""
    return _DRAW[name](dataset, count, generator)


def _real(dataset: Dataset, count: int, generator: torch.Generator) -> Tensor:
    return _choose(dataset.held_out, count, generator)


def _copycat(dataset: Dataset, count: int, generator: torch.Generator) -> Tensor:
    return _choose(dataset.train, count, generator)


def _choose(split: Split, count: int, generator: torch.Generator) -> Tensor:
    """Draw without replacement as far as the split goes, then start over."""
    rounds = -(-count // len(split))
    rows = torch.cat([torch.randperm(len(split), generator=generator) for _ in range(rounds)])[:count]
    return split.images[rows]


def _noise(dataset: Dataset, count: int, generator: torch.Generator) -> Tensor:
    return torch.randint(256, (count, *dataset.image_shape), generator=generator, dtype=torch.uint8)


def _gaussian(dataset: Dataset, count: int, generator: torch.Generator) -> Tensor:
    pixels = dataset.train.images.flatten(1)
    mean = _mean(pixels)
    if pixels.shape[1] <= LARGEST_COVARIANCE:
        values, vectors = torch.linalg.eigh(_covariance(pixels, mean))
        # Constant pixels make the covariance singular: rounding may leave its least eigenvalues below zero.
        noise = torch.randn(count, len(values), generator=generator, dtype=torch.float64)
        drawn = noise @ (vectors * values.clamp_min(0).sqrt()).T
    else:
        # A sum of the centred images with independent normal weights has their covariance exactly.
        drawn = torch.zeros(count, pixels.shape[1], dtype=torch.float64)
        for chunk in pixels.split(1024):
            weights = torch.randn(count, len(chunk), generator=generator, dtype=torch.float64)
            drawn += weights @ (chunk.double() - mean) / (len(pixels) - 1) ** 0.5
    images = (drawn + mean).round_().clamp_(0, 255).to(torch.uint8)
    return images.view(count, *dataset.image_shape)


def _mean(pixels: Tensor) -> Tensor:
    total = torch.zeros(pixels.shape[1], dtype=torch.float64)
    for chunk in pixels.split(4096):
        total += chunk.double().sum(0)
    return total / len(pixels)


def _covariance(pixels: Tensor, mean: Tensor) -> Tensor:
    total = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for chunk in pixels.split(4096):
        centred = chunk.double() - mean
        total += centred.T @ centred
    return total / (len(pixels) - 1)


_DRAW: dict[str, Callable[[Dataset, int, torch.Generator], Tensor]] = {
    "real": _real,
    "gaussian": _gaussian,
    "noise": _noise,
    "copycat": _copycat,
}
assert _DRAW.keys() == CONTROLS.keys()
