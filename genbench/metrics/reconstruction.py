"""Reconstruction error of 8-bit images: mean squared error, PSNR, SSIM."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.features import check_images
from genbench.metrics.similarity import similarity

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["measure", "reconstruction_error"]

_CHUNK = 1024


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
    check_images(originals, "originals")
    check_images(reconstructions, "reconstructions")
    if originals.shape != reconstructions.shape:
        raise ValueError(
            f"reconstruction: {tuple(originals.shape)} originals, {tuple(reconstructions.shape)} reconstructions"
        )
    squared = torch.zeros((), dtype=torch.int64, device=originals.device)
    for a, b in zip(torch.split(originals, _CHUNK), torch.split(reconstructions, _CHUNK), strict=True):
        squared += (a.long() - b.long()).square().sum()
    mse = int(squared) / originals.numel() / 255**2
    values = {"reconstruction_mse": mse}
    if mse > 0:
        values["psnr"] = -10 * math.log10(mse)
    if min(originals.shape[2:]) >= 3:
        values["ssim"] = float(similarity(originals, reconstructions, multiscale=False).mean())
    return values


def measure(evidence: Evidence) -> dict[str, float]:
    """`reconstruction_mse`, `psnr` and `ssim` of held-out images."""
    assert evidence.originals is not None
    assert evidence.reconstructions is not None
    return reconstruction_error(evidence.originals, evidence.reconstructions)
