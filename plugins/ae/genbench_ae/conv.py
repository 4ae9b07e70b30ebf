"""A convolutional autoencoder of images or clips; samples come from a density fitted to its training codes.

Masci, Meier, Cireşan, Schmidhuber (2011), "Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction",
https://doi.org/10.1007/978-3-642-21735-7_7
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import nn

from genbench import Data, Model, Unsuitable, hookimpl
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
    channels: int = 32,
    denoising: float = 0.0,
    density: Literal["gaussian", "mixture"] = "gaussian",
    components: int = 10,
    learning_rate: float = 1e-3,
) -> Model:
    """Return an autoencoder of images (C, H, W) or clips (C, T): strided convolutions to `bottleneck`, and back.

    Raises:
        Unsuitable: the sides of an image are not in 8 to 128, or a clip has fewer than 64 or more than 131,072 samples.
        ValueError: a value is out of its domain; a one-line message.
    """
    settings = Settings(bottleneck, denoising, density, components, learning_rate)
    if channels < 1:
        raise ValueError(f"channels must be at least 1, not {channels}")
    stages = IMAGES if len(shape) == 3 else CLIPS
    sizes = stages.sizes(tuple(shape[1:]))
    widths = [shape[0], *(channels * 2 ** min(stage, 3) for stage in range(len(sizes) - 1))]
    encoder = stages.encoder(widths, sizes, bottleneck)
    decoder = stages.decoder(widths, sizes, bottleneck)
    return assemble(encoder, decoder, settings, device, masked=stages.masked)


@dataclass(frozen=True)
class _Stages:
    """Stages that divide each side by `stride`, rounding down, until the smallest side is at most `coarsest`.

    A kernel is as wide as the stride plus twice the padding. `masked` is the empty value: black, or silence.
    """

    noun: str
    convolution: type[nn.Conv1d | nn.Conv2d]
    transposed: type[nn.ConvTranspose1d | nn.ConvTranspose2d]
    stride: int
    padding: int
    shortest: int
    longest: int
    coarsest: int
    masked: float

    def sizes(self, size: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the sides of an item from its own to the coarsest stage's."""
        if not all(self.shortest <= side <= self.longest for side in size):
            sides = " x ".join(map(str, size))
            raise Unsuitable(f"takes {self.noun} {self.shortest} to {self.longest}, not {sides}")
        sizes = [size]
        while min(sizes[-1]) > self.coarsest:
            sizes.append(tuple(side // self.stride for side in sizes[-1]))
        return sizes

    def encoder(self, widths: list[int], sizes: list[tuple[int, ...]], bottleneck: int) -> nn.Sequential:
        """Return a strided convolution and a SiLU per stage, then a linear layer to the code."""
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            stage = self.convolution(inputs, outputs, self._kernel, stride=self.stride, padding=self.padding)
            layers += [stage, nn.SiLU()]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * math.prod(sizes[-1]), bottleneck))

    def decoder(self, widths: list[int], sizes: list[tuple[int, ...]], bottleneck: int) -> nn.Sequential:
        """Return the encoder's mirror image: a linear layer, then a transposed convolution per stage, and tanh."""
        layers: list[nn.Module] = [
            nn.Linear(bottleneck, widths[-1] * math.prod(sizes[-1])),
            nn.Unflatten(1, (widths[-1], *sizes[-1])),
        ]
        for stage in reversed(range(len(sizes) - 1)):
            up = self.transposed(
                widths[stage + 1],
                widths[stage],
                self._kernel,
                stride=self.stride,
                padding=self.padding,
                # The remainder of the division in the encoder, one entry per dimension.
                output_padding=tuple(side % self.stride for side in sizes[stage]),  # type: ignore[arg-type]
            )
            layers += [nn.SiLU(), up]
        return nn.Sequential(*layers, nn.Tanh())

    @property
    def _kernel(self) -> int:
        return self.stride + 2 * self.padding


IMAGES = _Stages("images whose sides are", nn.Conv2d, nn.ConvTranspose2d, 2, 1, 8, 128, coarsest=7, masked=-1.0)
# The strides of WaveGAN, with narrower kernels.
CLIPS = _Stages("clips whose lengths are", nn.Conv1d, nn.ConvTranspose1d, 4, 6, 64, 131_072, coarsest=32, masked=0.0)
