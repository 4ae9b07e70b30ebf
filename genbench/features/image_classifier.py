"""The image classifier, which adapts to any shape.

`digits-cnn`, which ships with genbench, and every cached `classifier` of images use this network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.features.classifier_network import SLOPE, Design
from genbench.features.intake import Images

__all__ = ["PROCEDURE", "body", "design", "scaled"]

PROCEDURE = "classifier-1"  # raise the number whenever a change here or in the training changes the weights
_WIDTHS = (16, 32, 64, 128)


def design(shape: torch.Size) -> Design:
    """Return the design for images of `shape` (C, H, W).

    Images of at least 4 pixels a side go through 3 x 3 convolutions and are halved until fewer than 8 pixels are left;
    a strided first layer reduces sides over 48. Smaller images go through two fully connected layers. In training, the
    images of a batch are shifted by up to a fourteenth of the side.
    """
    return Design(
        procedure=PROCEDURE,
        intake=Images(scaled, shape),
        body=lambda: body(shape),
        varied=_shifted,
        item_bytes=1024 * shape[1] * shape[2],
        without_labels="random-conv",
    )


def body(shape: torch.Size) -> tuple[list[nn.Module], int]:
    """Return the layers for inputs laid out as images of `shape` (C, H, W), and the number of values per item after."""
    return _convolutions(shape) if min(shape[1:]) >= 4 else _connected(shape)


def _convolutions(shape: torch.Size) -> tuple[list[nn.Module], int]:
    channels, height, width = shape
    stride = max(1, round(min(height, width) / 32))
    layers: list[nn.Module] = []
    for wider in _WIDTHS:
        layers.append(nn.Conv2d(channels, wider, 2 * stride + 1, stride, stride, bias=False))
        channels, height, width = wider, -(-height // stride), -(-width // stride)
        stride = 1
        halved = min(height, width) >= 8
        if halved:  # before the rest of the layer, whose cost drops to a quarter
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        layers += [nn.BatchNorm2d(channels), nn.LeakyReLU(SLOPE, inplace=True)]
        if not halved:
            break
    return [*layers, nn.Flatten()], channels * height * width


def _connected(shape: torch.Size) -> tuple[list[nn.Module], int]:
    hidden = 128
    return [nn.Flatten(), nn.Linear(shape.numel(), hidden), nn.LeakyReLU(SLOPE)], hidden


def scaled(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [-1, 1]."""
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def _shifted(images: Tensor, randomness: torch.Generator) -> Tensor:
    """Shift the whole batch by one random offset of at most a fourteenth of its sides, repeating edge pixels."""
    height, width = images.shape[2:]
    rows, columns = height // 14, width // 14
    if rows == 0 and columns == 0:
        return images
    padded = F.pad(images, (columns, columns, rows, rows), mode="replicate")
    top = int(torch.randint(2 * rows + 1, (), generator=randomness))
    left = int(torch.randint(2 * columns + 1, (), generator=randomness))
    return padded[:, :, top : top + height, left : left + width]
