"""A fully connected autoencoder; samples come from a density fitted to its training codes.

Hinton, Salakhutdinov (2006), "Reducing the Dimensionality of Data with Neural Networks",
https://doi.org/10.1126/science.1127647
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from genbench import Model, hookimpl
from torch import nn

from genbench_ae.assembly import Settings, assemble
from genbench_ae.hooks import before_sampling, encode, reconstruct, sample, train_step

__all__ = ["before_sampling", "build", "build_model", "encode", "reconstruct", "sample", "train_step"]


@hookimpl
def build_model(image_shape: torch.Size, options: dict[str, Any], device: torch.device) -> Model:
    """Build the autoencoder; `options` are the keyword arguments of `build`."""
    return build(image_shape, device, **options)


def build(
    image_shape: torch.Size,
    device: torch.device,
    *,
    bottleneck: int = 32,
    hidden: int = 512,
    denoising: float = 0.0,
    density: Literal["gaussian", "mixture"] = "gaussian",
    components: int = 10,
    learning_rate: float = 1e-3,
) -> Model:
    """Return an autoencoder of images (C, H, W) of any size: pixels, `hidden`, `hidden` / 2, `bottleneck`, and back.

    Raises:
        ValueError: for a value out of its domain, in one line.
    """
    settings = Settings(bottleneck, denoising, density, components, learning_rate)
    if hidden < 2:
        raise ValueError(f"hidden must be at least 2, not {hidden}")
    widths = [math.prod(image_shape), hidden, hidden // 2, bottleneck]
    encoder = nn.Sequential(nn.Flatten(), *_layers(widths))
    decoder = nn.Sequential(*_layers(widths[::-1]), nn.Tanh(), nn.Unflatten(1, image_shape))
    return assemble(encoder, decoder, settings, device)


def _layers(widths: list[int]) -> list[nn.Module]:
    """Return linear layers of these widths with an ELU between each two."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.ELU()]
    return layers[:-1]
