"""Convolutions with random weights, averaged over the image: 64 features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genbench import Data, Unsuitable, hookimpl


class Network(nn.Module):
    """Maps (B, C, H, W) in [-1, 1] to (B, 64) features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 32, 3, padding=1)
        self.second = nn.Conv2d(32, 64, 3, padding=1, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.first(images))
        return torch.relu(self.second(hidden)).mean((2, 3))  # per image


@hookimpl
def build_extractor(data: Data, device: torch.device) -> nn.Module:
    if data.kind != "image":
        raise Unsuitable("takes only images")
    # Torch's global generator is seeded before the call, so the weights are reproducible.
    # For trained weights, take `weights`, the file given by --weights, and load it here.
    return Network(data.shape[0]).to(device)
