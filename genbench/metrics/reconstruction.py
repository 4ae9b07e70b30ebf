"""Reconstruction error of 8-bit images: mean squared error, PSNR, SSIM."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.metrics.features import affordable, check_images, chosen
from genbench.metrics.similarity import similarity
from genbench.metrics.table import SIMILARITY_LEAST, SIMILARITY_VALUES

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["RestoredImages", "measure", "reconstruction_error", "restored_images"]

_CHUNK_VALUES = 2**18
_BLOCK = 256


@dataclass(frozen=True)
class RestoredImages:
    """Of each reconstruction: (N,) int64 sum of squared errors in 8-bit levels, and the SSIM of each, None under 3×3.

    SSIM is that of a random subset of many large images (`SIMILARITY_VALUES`).
    `values` counts the values of one image, C·H·W.
    """

    squared: Tensor
    similarity: Tensor | None
    values: int

    @property
    def errors(self) -> Tensor:
        """(N,) float64 mean squared error of each image on the [0, 1] scale."""
        return self.squared.double() / self.values / 255**2


def reconstruction_error(originals: Tensor, reconstructions: Tensor) -> dict[str, float]:
    """Return `reconstruction_mse`, `psnr` and `ssim` of reconstructions that were rounded to 8 bits.

    The error is on the [0, 1] scale (8-bit levels over 255): `MSE = mean (x − x̂)²` over images, channels and pixels;
    `PSNR = −10 log₁₀ MSE` in dB, of that one mean; SSIM is the mean over images (window: see `similarity`). Rounding
    alone leaves an MSE of 1.3e-6, 58.9 dB. Without any error PSNR is infinite and left out; SSIM is left out for
    images under 3×3. Blind to everything but the pixels: blur is favoured.

    Paper: of SSIM, see `similarity`.

    Args:
        originals: (N, C, H, W) uint8, N ≥ 1.
        reconstructions: of the same shape.

    Raises:
        ValueError: shapes that differ, or images that are not uint8.

    Example:
        >>> black = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
        >>> reconstruction_error(black, black + 51)
        {'reconstruction_mse': 0.04, 'psnr': 13.979400086720375}
    """
    return _numbers(restored_images(originals, reconstructions))


def restored_images(originals: Tensor, reconstructions: Tensor) -> RestoredImages:
    """Compare (N, C, H, W) uint8 images with their reconstructions, one by one; errors as `reconstruction_error`."""
    check_images(originals, "originals")
    check_images(reconstructions, "reconstructions")
    if originals.shape != reconstructions.shape:
        raise ValueError(
            f"reconstruction: {tuple(originals.shape)} originals, {tuple(reconstructions.shape)} reconstructions"
        )
    size = max(1, _CHUNK_VALUES // max(1, originals.shape[1:].numel()))
    chunks = zip(torch.split(originals, size), torch.split(reconstructions, size), strict=True)
    squared = torch.cat([_squared_errors(a.flatten(1), b.flatten(1)) for a, b in chunks])
    found = None
    if min(originals.shape[2:]) >= 3:
        rows = chosen(len(originals), affordable(originals, SIMILARITY_VALUES, SIMILARITY_LEAST)).to(originals.device)
        found = similarity(originals[rows], reconstructions[rows], multiscale=False)
    return RestoredImages(squared, found, originals[0].numel())


def _squared_errors(first: Tensor, second: Tensor) -> Tensor:
    """Return (N,) int64 sums of squared differences of (N, D) uint8: exact, as 256 squares stay whole in float32."""
    gaps = torch.maximum(first, second).sub_(torch.minimum(first, second))
    blocks = F.pad(gaps, (0, -gaps.shape[1] % _BLOCK)).float().square_().unflatten(1, (-1, _BLOCK))
    found: Tensor = blocks.sum(dim=2).to(torch.int64).sum(dim=1)
    return found


def _numbers(restored: RestoredImages) -> dict[str, float]:
    # The sum of whole numbers is exact, so the number does not depend on the order of the images.
    mse = int(restored.squared.sum()) / (len(restored.squared) * restored.values) / 255**2
    values = {"reconstruction_mse": mse}
    if mse > 0:
        values["psnr"] = -10 * math.log10(mse)
    if restored.similarity is not None:
        values["ssim"] = float(restored.similarity.mean())
    return values


def measure(evidence: Evidence) -> dict[str, float]:
    """`reconstruction_mse`, `psnr` and `ssim` of held-out images."""
    return _numbers(evidence.restored)
