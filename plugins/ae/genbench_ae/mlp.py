"""A fully connected autoencoder; samples come from a density fitted to its training codes.

Hinton, Salakhutdinov (2006), "Reducing the Dimensionality of Data with Neural Networks",
https://doi.org/10.1126/science.1127647
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import nn

from genbench import Data, Model, hookimpl
from genbench_ae.assembly import Settings, assemble, refuse_texts
from genbench_ae.hooks import before_sampling, encode, reconstruct, sample, train_step

__all__ = ["before_sampling", "build", "build_model", "encode", "reconstruct", "sample", "train_step"]


@hookimpl
def build_model(data: Data, options: dict[str, Any], device: torch.device) -> Model:
    """Build the autoencoder; `options` are the keyword arguments of `build`."""
    refuse_texts(data)
    return build(data.shape, device, **options)


def build(
    shape: torch.Size,
    device: torch.device,
    *,
    bottleneck: int = 32,
    hidden: int = 512,
    layers: int = 1,
    denoising: float = 0.0,
    density: Literal["gaussian", "mixture"] = "gaussian",
    components: int = 10,
    learning_rate: float = 1e-3,
) -> Model:
    """Return an autoencoder of images (C, H, W) or clips (C, T); `layers` hidden layers of `hidden` units per side.

    Raises:
        ValueError: a value is out of its domain; a one-line message.
    """
    settings = Settings(bottleneck, denoising, density, components, learning_rate)
    if hidden < 1:
        raise ValueError(f"hidden must be at least 1, not {hidden}")
    if layers < 1:
        raise ValueError(f"layers must be at least 1, not {layers}")
    widths = [math.prod(shape), *[hidden] * layers, bottleneck]
    encoder = nn.Sequential(nn.Flatten(), *_linear_stack(widths))
    decoder = nn.Sequential(*_linear_stack(widths[::-1]), nn.Tanh(), nn.Unflatten(1, shape))
    return assemble(encoder, decoder, settings, device, masked=-1.0 if len(shape) == 3 else 0.0)


def _linear_stack(widths: list[int]) -> list[nn.Module]:
    """Return linear layers of these widths, with layer normalisation and a SiLU between consecutive ones."""
    stack: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        stack += [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.SiLU()]
    return stack[:-2]
