"""Two-dimensional Gaussian mixtures as one-pixel, two-channel images, with exactly known modes and density."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.source import Request
from genbench.errors import nearest, quoted
from genbench.seeding import generator

__all__ = ["MIXTURES", "Mixture", "load", "log_probability", "nearest_mode", "render"]

TRAIN_COUNT, HELD_OUT_COUNT = 50_000, 10_000
NEAR = 3.0  # standard deviations


@dataclass(frozen=True)
class Mixture:
    """Equally likely Gaussians with a common standard deviation, in the plane of the two channels, [-1, 1]².

    Args:
        centres: (K, 2).
        deviation: the standard deviation in each direction, nearly four grey levels.
    """

    centres: Tensor
    deviation: float = 0.03


def _ring(count: int, radius: float) -> Tensor:
    angles = [2 * math.pi * index / count for index in range(count)]
    return torch.tensor([(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles], dtype=torch.float64)


def _grid(side: int, reach: float) -> Tensor:
    ticks = torch.linspace(-reach, reach, side, dtype=torch.float64)
    return torch.cartesian_prod(ticks, ticks)


MIXTURES = {"ring": Mixture(_ring(8, 0.75)), "grid": Mixture(_grid(5, 0.8))}


def load(request: Request) -> Dataset:
    """Load a ring of 8 Gaussians or a grid of 25: (N, 2, 1, 1) uint8; labels are the components.

    Channel 0 is x and channel 1 is y; the grey level of a value v is round((v + 1) × 127.5), as for every image.

    Reference: A. Srivastava, L. Valkov, C. Russell, M. Gutmann, C. Sutton, 2017, VEEGAN: Reducing Mode Collapse in
    GANs using Implicit Variational Learning, https://arxiv.org/abs/1705.07761 (their standard deviations are smaller
    relative to the spacing; with 256 grey levels they would be less than one level).
    """
    name = request.argument or "ring"
    if name not in MIXTURES:
        raise request.fault(f"no mixture is called {quoted(name)}{nearest(name, MIXTURES)}")
    if request.image_size not in (None, 1):
        raise request.fault("its images are one pixel by definition; leave --image-size out")
    mixture = MIXTURES[name]
    train = _draw(mixture, TRAIN_COUNT, generator(0, "gaussians", name, "train"))
    held_out = _draw(mixture, HELD_OUT_COUNT, generator(0, "gaussians", name, "held-out"))
    return Dataset(
        name=request.spec,
        train=train,
        held_out=held_out,
        class_names=tuple(f"({x:.2f}, {y:.2f})" for x, y in mixture.centres.tolist()),
        licence=request.source.licence,
        fingerprint=fingerprint(train, held_out),
        nearest_mode=partial(nearest_mode, mixture=mixture),
        mode_count=len(mixture.centres),
    )


def _draw(mixture: Mixture, count: int, random: torch.Generator) -> Split:
    component = torch.randint(len(mixture.centres), (count,), generator=random)
    # In float64, differences in the last digit between machines do not affect the grey levels.
    noise = torch.randn(count, 2, generator=random, dtype=torch.float64)
    return Split(render(mixture.centres[component] + mixture.deviation * noise), component)


def render(points: Tensor) -> Tensor:
    """Convert points (N, 2) in [-1, 1]² to images (N, 2, 1, 1) uint8; points outside are clamped to the edge."""
    return ((points + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)[:, :, None, None]


def _points(images: Tensor) -> Tensor:
    return images.flatten(1).double() / 127.5 - 1  # (N, 2)


def nearest_mode(images: Tensor, mixture: Mixture) -> Tensor:
    """Return the component with the nearest centre, or -1 if it is more than 3 standard deviations away.

    The rule and its threshold of 3 are from Srivastava et al. 2017 (see `load`), section 4.1. exp(-9/2) = 1.1% of true
    images are farther away.

    Args:
        images: (N, 2, 1, 1) uint8.

    Returns:
        (N,) int64 on the device of `images`.
    """
    distances = torch.cdist(_points(images), mixture.centres.to(images.device))
    distance, component = distances.min(1)
    return torch.where(distance <= NEAR * mixture.deviation, component, -1)


def log_probability(images: Tensor, mixture: Mixture) -> Tensor:
    """Return the exact log-probability of each 8-bit image in nats, (N,) float64.

    log p(x) = log mean_k Π_c ∫ N(v; centre_kc, deviation²) dv, over the bin of values v that round to the grey level
    x_c; the first and the last bin reach to infinity. No model has a higher expected log-likelihood.

    Args:
        images: (N, 2, 1, 1) uint8.
    """
    levels = images.flatten(1).double()[:, None]  # (N, 1, 2)
    upper = torch.where(levels == 255, math.inf, (levels + 0.5) / 127.5 - 1)
    lower = torch.where(levels == 0, -math.inf, (levels - 0.5) / 127.5 - 1)
    centres = mixture.centres.to(images.device)
    above, below = (upper - centres) / mixture.deviation, (lower - centres) / mixture.deviation  # (N, K, 2)
    # Mirrored to the left tail and computed in logarithms; otherwise the difference would suffer cancellation.
    mirrored = below > 0
    log_left = torch.special.log_ndtr(torch.where(mirrored, -above, below))
    log_right = torch.special.log_ndtr(torch.where(mirrored, -below, above))
    log_bins: Tensor = log_right + torch.log1p(-torch.exp(log_left - log_right))
    return log_bins.sum(-1).logsumexp(-1) - math.log(len(centres))
