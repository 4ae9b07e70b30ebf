"""Reconstructions next to their originals, image by image: the basis of every reconstruction error."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.metrics.constants import SIMILARITY_LEAST, SIMILARITY_VALUES
from genbench.metrics.features import affordable, check_images, chosen, taken
from genbench.metrics.similarity import similarity

__all__ = ["RestoredImages", "restored_images"]

_CHUNK_VALUES = 2**19  # compared at once: 2 MB as float32
_BLOCK = 256


@dataclass(frozen=True)
class RestoredImages:
    """Per reconstruction: (N,) int64 sum of squared errors in 8-bit levels, and its SSIM, None under 3×3.

    Where there are many large images, SSIM covers a random subset (`SIMILARITY_VALUES`).
    `values` is the number of values in one image, C·H·W.
    """

    squared: Tensor
    similarity: Tensor | None
    values: int

    @property
    def errors(self) -> Tensor:
        """(N,) float64 mean squared error of each image on the [0, 1] scale."""
        return self.squared.double() / self.values / 255**2


def restored_images(originals: Tensor, reconstructions: Tensor) -> RestoredImages:
    """Compare (N, C, H, W) uint8 images with their reconstructions, one by one; errors as `reconstruction_error`."""
    check_images(originals, "originals")
    check_images(reconstructions, "reconstructions")
    if originals.shape != reconstructions.shape:
        raise ValueError(
            f"reconstruction: {tuple(originals.shape)} originals, {tuple(reconstructions.shape)} reconstructions"
        )
    size = max(1, _CHUNK_VALUES // max(1, originals.shape[1:].numel()))
    squared = torch.empty(len(originals), dtype=torch.int64, device=originals.device)
    # Into one tensor: a small result allocated after each large temporary would keep the heap from using its memory
    # again, which took gigabytes for 3,000 images of 512².
    for found, *chunk in zip(*(each.split(size) for each in (squared, originals, reconstructions)), strict=True):
        found.copy_(_squared_errors(*(side.flatten(1) for side in chunk)))
    similar = None
    if min(originals.shape[2:]) >= 3:
        rows = chosen(len(originals), affordable(originals, SIMILARITY_VALUES, SIMILARITY_LEAST))
        similar = similarity(taken(originals, rows), taken(reconstructions, rows), multiscale=False)
    return RestoredImages(squared, similar, originals[0].numel())


def _squared_errors(first: Tensor, second: Tensor) -> Tensor:
    """Return (N,) int64 sums of squared differences of (N, D) uint8: exact, as float32 holds sums of 256 squares."""
    gaps = torch.maximum(first, second).sub_(torch.minimum(first, second))
    if rest := gaps.shape[1] % _BLOCK:  # which copies
        gaps = F.pad(gaps, (0, _BLOCK - rest))
    blocks = gaps.float().square_().unflatten(1, (-1, _BLOCK))
    found: Tensor = blocks.sum(dim=2).to(torch.int64).sum(dim=1)
    return found
