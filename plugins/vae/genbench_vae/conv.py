"""A convolutional variational autoencoder; samples are decoded from its prior.

D. P. Kingma, M. Welling (2014), "Auto-Encoding Variational Bayes", https://arxiv.org/abs/1312.6114
"""

from __future__ import annotations

import itertools
from typing import Any, Literal

import torch
from torch import nn

from genbench import Data, Model, Unsuitable, hookimpl
from genbench_vae.assembly import Settings, assemble, check_positive
from genbench_vae.hooks import encode, log_likelihood, reconstruct, sample, train_step

__all__ = ["build", "build_model", "encode", "log_likelihood", "reconstruct", "sample", "train_step"]


@hookimpl
def build_model(data: Data, options: dict[str, Any], device: torch.device) -> Model:
    """Build the autoencoder; `options` are the keyword arguments of `build`."""
    if data.kind != "image":
        raise Unsuitable("takes images alone")
    return build(data.shape, device, **options)


def build(
    shape: torch.Size,
    device: torch.device,
    *,
    latent: int = 32,
    channels: int = 32,
    beta: float = 1.0,
    likelihood: Literal["logistic", "gaussian", "bernoulli"] = "logistic",
    importance_samples: int = 1,
    learning_rate: float = 1e-3,
) -> Model:
    """Return a VAE of images (C, H, W) with sides from 8 to 128 whose first stage has `channels` channels.

    Raises:
        Unsuitable: for another size.
        ValueError: for a value out of its domain, in one line.
    """
    settings = Settings(latent, beta, likelihood, importance_samples, learning_rate)
    check_positive(channels=channels)
    height, width = shape[1:]
    if not (8 <= height <= 128 and 8 <= width <= 128):
        raise Unsuitable(f"takes images whose sides are 8 to 128, not {height} x {width}")
    sizes = _sizes(height, width)
    widths = [shape[0], *(channels * 2 ** min(stage, 2) for stage in range(len(sizes) - 1))]
    features = widths[-1] * sizes[-1][0] * sizes[-1][1]
    decoder = nn.Sequential(nn.Linear(latent, features), nn.Unflatten(1, (widths[-1], *sizes[-1])), *_up(widths, sizes))
    return assemble(nn.Sequential(*_down(widths), nn.Flatten()), features, decoder, settings, device)


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Return the image's size, halved (rounding down) until its smaller side is at most 4.

    >>> _sizes(28, 28)
    [(28, 28), (14, 14), (7, 7), (3, 3)]
    """
    sizes = [(height, width)]
    while min(sizes[-1]) > 4:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def _down(widths: list[int]) -> list[nn.Module]:
    """Return a stage of stride 2 from each width to the next: 4 x 4, so that odd sizes lose no pixel either."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, kernel_size=4, stride=2, padding=1), *_activation(outputs)]
    return layers


def _up(widths: list[int], sizes: list[tuple[int, int]]) -> list[nn.Module]:
    """Return the mirror image of `_down`, with a normalisation before each stage instead of after."""
    layers: list[nn.Module] = []
    for stage in reversed(range(len(sizes) - 1)):
        height, width = sizes[stage]
        odd = (height % 2, width % 2)  # what halving rounded away
        up = nn.ConvTranspose2d(widths[stage + 1], widths[stage], 4, stride=2, padding=1, output_padding=odd)
        layers += [*_activation(widths[stage + 1]), up]
    return layers


def _activation(width: int) -> list[nn.Module]:
    # Without normalisation the decoder learned to ignore its code on MNIST, and never looked at it again.
    return [nn.BatchNorm2d(width), nn.SiLU()]
