"""`Denoiser`: diffusers' U-Net for images of any size, and the running average of its weights."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["Denoiser", "average_of", "update_average"]

COARSEST = 4  # pixels of the shorter side at the coarsest level, or up to twice that
MOST_LEVELS = 4


class Denoiser(nn.Module):
    """Predicts the noise in images, or the velocity: `UNet2DModel`, on images padded to a size that it can halve.

    The levels follow from the shorter side: 8 pixels give two (8, 4), 28 three (28, 14, 7), 32 and more four. The first
    has `width` channels, the others twice as many; the coarsest has self-attention.

    Args:
        shape: (C, H, W), any.
        classes: number of labels that are embedded and added to the time embedding; None for none.
        width: channels of the finest level, a multiple of 8, the number of groups in group normalisation.
        layers: residual blocks per level.
    """

    def __init__(self, shape: torch.Size, classes: int | None, width: int, layers: int) -> None:
        super().__init__()
        channels, height, plane_width = shape
        levels = min(max(int(math.log2(max(min(height, plane_width) / COARSEST, 1))) + 1, 1), MOST_LEVELS)
        multiple = 2 ** (levels - 1)
        self.padding = (-plane_width % multiple, -height % multiple)
        plain = levels - 1
        self.unet = UNet2DModel(
            sample_size=(height + self.padding[1], plane_width + self.padding[0]),
            in_channels=channels,
            out_channels=channels,
            layers_per_block=layers,
            block_out_channels=(width, *[2 * width] * plain),
            down_block_types=(*["DownBlock2D"] * plain, "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", *["UpBlock2D"] * plain),
            norm_num_groups=8,
            num_class_embeds=classes,
        )

    def forward(self, images: Tensor, times: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the prediction, (B, C, H, W), for images (B, C, H, W) at times (B,) int64 or ()."""
        right, below = self.padding
        padded = F.pad(images, (0, right, 0, below), mode="replicate") if right or below else images
        predicted: Tensor = self.unet(padded, times, class_labels=labels).sample
        return predicted[..., : images.shape[2], : images.shape[3]]


def average_of(network: Denoiser) -> Denoiser:
    """Return an untrainable copy that holds the running average of the weights."""
    return copy.deepcopy(network).requires_grad_(False)


def update_average(average: Denoiser, network: Denoiser, step: int, decay: float) -> None:
    """Update the average with the weights after training step number `step`, counted from 0.

    The decay is min(decay, (1 + step) / (10 + step)), so a short training is averaged over its last tenth or so.
    """
    pairs = list(zip(average.parameters(), network.parameters(), strict=True))
    take_in = get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))
    take_in([mean for mean, _ in pairs], [newest.detach() for _, newest in pairs], 0)
