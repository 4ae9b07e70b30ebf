"""`random-conv`: a convolutional network with fixed random weights, for images of any shape and without labels.

Random features capture texture and coarse layout, and need no training and no download; they rank models trained on one
dataset, but do not capture the meaning of images (M. F. Naeem, S. J. Oh, Y. Uh, Y. Choi, J. Yoo, "Reliable Fidelity and
Diversity Metrics for Generative Models", 2020, https://arxiv.org/abs/2002.09797).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import seeding
from genbench.features.extractor import Extractor, place
from genbench.features.image_classifier import scaled
from genbench.features.intake import Images
from genbench.features.weight_file import content_sha256

__all__ = ["load_random_conv"]

FEATURES = 64
_PROCEDURE = "random-conv-1"  # raise the number whenever a change here changes the numbers
_WIDTHS = (32, 64, 128)
# Comparing 3,000 items a side takes as long as a tenth of extracting images of 32x32 after the first layer's stride.
_ALL_COMPARED_FROM = 32
_COMPARED = 750  # items a side for each 8 pixels of a smaller side
_GRID = 4  # features retain positions in the image, on a grid of at most this many cells a side


class RandomConv(nn.Module):
    """From (B, C, H, W) in [-1, 1] to (B, 64) features: random convolutions, then a random projection."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        channels, height, width = shape
        self.stride = max(1, round(min(height, width) / 32))  # a strided first layer reduces large images
        self.grid = (min(height, _GRID), min(width, _GRID))
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for index, wider in enumerate(_WIDTHS):
            reach = 2 * (self.stride if index == 0 else 1) + 1
            kernel = (1 if height == 1 else reach, 1 if width == 1 else reach)
            self.weights.append(_normal((wider, channels, *kernel), 2 / (channels * kernel[0] * kernel[1]), index, "w"))
            self.biases.append(_normal((wider,), 0.1, index, "b"))
            channels = wider
        cells = channels * self.grid[0] * self.grid[1]
        self.project = nn.Parameter(_normal((FEATURES, cells), 2 / cells, len(_WIDTHS), "w"))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        stride = self.stride
        for weight, bias in zip(self.weights, self.biases, strict=True):
            padding = (weight.shape[2] // 2, weight.shape[3] // 2)
            x = F.leaky_relu(F.conv2d(x, weight, bias, stride=stride, padding=padding), 0.2)
            stride = 1
            if min(x.shape[2:]) >= 2 * _GRID:
                x = F.avg_pool2d(x, 2)
        cells = F.adaptive_avg_pool2d(x, self.grid).flatten(1)
        return F.leaky_relu(F.linear(cells, self.project), 0.2), None


def load_random_conv(shape: torch.Size, device: torch.device, precision: str) -> Extractor:
    """Return the extractor for images of `shape`."""
    network = RandomConv(shape)
    sha256 = content_sha256(network.state_dict())
    place(network, device, precision)
    return Extractor(
        name="random-conv",
        network=network,
        intake=Images(scaled, shape),
        device=device,
        precision=precision,
        feature_count=FEATURES,
        classes=None,
        weights_sha256=sha256,
        item_bytes=512 * shape[1] * shape[2],
        fields={"procedure": _PROCEDURE},
        most_compared=_most_compared(shape[1:].numel(), network.stride),
    )


def _most_compared(pixels: int, stride: int) -> int | None:
    side = math.isqrt(pixels) // stride
    return None if side >= _ALL_COMPARED_FROM else _COMPARED * max(1, side // 8)


def _normal(shape: tuple[int, ...], variance: float, *use: int | str) -> Tensor:
    """Return fixed random numbers; a variance of 2 / inputs keeps the scale of activations constant."""
    return torch.randn(shape, generator=seeding.generator(0, _PROCEDURE, *use)).mul(variance**0.5)
