"""A convolutional autoencoder; samples come from a density fitted to its training codes.

Masci, Meier, Cireşan, Schmidhuber (2011), "Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction",
https://doi.org/10.1007/978-3-642-21735-7_7
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import nn

from genbench import Data, Model, Unsuitable, hookimpl
from genbench_ae.assembly import Settings, assemble
from genbench_ae.hooks import before_sampling, encode, reconstruct, sample, train_step

__all__ = ["before_sampling", "build", "build_model", "encode", "reconstruct", "sample", "train_step"]


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
    bottleneck: int = 32,
    channels: int = 32,
    denoising: float = 0.0,
    density: Literal["gaussian", "mixture"] = "gaussian",
    components: int = 10,
    learning_rate: float = 1e-3,
) -> Model:
    """Return an autoencoder of images (C, H, W) with sides of 8 to 128: strided convolutions to `bottleneck`, and back.

    Raises:
        Unsuitable: for another size.
        ValueError: for a value out of its domain, in one line.
    """
    settings = Settings(bottleneck, denoising, density, components, learning_rate)
    if channels < 1:
        raise ValueError(f"channels must be at least 1, not {channels}")
    image_channels, height, width = shape
    if not (8 <= height <= 128 and 8 <= width <= 128):
        raise Unsuitable(f"takes images whose sides are 8 to 128, not {height} x {width}")
    sizes = _sizes(height, width)
    widths = [image_channels, *(channels * 2 ** min(stage, 3) for stage in range(len(sizes) - 1))]
    encoder = _encoder(widths, sizes, bottleneck)
    decoder = _decoder(widths, sizes, bottleneck)
    return assemble(encoder, decoder, settings, device)


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Return the image's size, halved (rounding down) until its smaller side is below 8."""
    sizes = [(height, width)]
    while min(sizes[-1]) >= 8:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def _encoder(widths: list[int], sizes: list[tuple[int, int]], bottleneck: int) -> nn.Sequential:
    """Return a 4 x 4 convolution of stride 2 and a SiLU a stage, and a linear layer to the code."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, kernel_size=4, stride=2, padding=1), nn.SiLU()]
    height, width = sizes[-1]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * height * width, bottleneck))


def _decoder(widths: list[int], sizes: list[tuple[int, int]], bottleneck: int) -> nn.Sequential:
    """Return the encoder's mirror image: a linear layer, then a transposed convolution a stage, and tanh."""
    height, width = sizes[-1]
    layers: list[nn.Module] = [
        nn.Linear(bottleneck, widths[-1] * height * width),
        nn.Unflatten(1, (widths[-1], height, width)),
    ]
    for stage in reversed(range(len(sizes) - 1)):
        odd = (sizes[stage][0] % 2, sizes[stage][1] % 2)  # an odd side was rounded down on the way in
        layers += [nn.SiLU(), nn.ConvTranspose2d(widths[stage + 1], widths[stage], 4, 2, 1, output_padding=odd)]
    return nn.Sequential(*layers, nn.Tanh())
