"""Reconstruction error of 8-bit images: mean squared error, PSNR, SSIM."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from genbench.metrics.restored import RestoredImages, restored_images

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["measure", "reconstruction_error"]


def reconstruction_error(originals: Tensor, reconstructions: Tensor) -> dict[str, float]:
    """Return `reconstruction_mse`, `psnr` and `ssim` of reconstructions that were rounded to 8 bits.

    The error is on the [0, 1] scale (8-bit levels over 255): `MSE = mean (x − x̂)²` over images, channels and pixels;
    `PSNR = −10 log₁₀ MSE` in dB, from that single mean; SSIM is the mean over images (window: see `similarity`).
    Rounding on its own causes an MSE of 1.3e-6, 58.9 dB. Without any error PSNR is infinite and left out; SSIM is left
    out for images under 3×3. Blind to everything but the pixels: it favours blur.

    Paper: for SSIM, see `similarity`.

    Args:
        originals: (N, C, H, W) uint8, N ≥ 1.
        reconstructions: of the same shape.

    Raises:
        ValueError: shapes that differ, or images that are not uint8.

    Example:
        >>> import torch
        >>> black = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
        >>> reconstruction_error(black, black + 51)
        {'reconstruction_mse': 0.04, 'psnr': 13.979400086720375}
    """
    return _numbers(restored_images(originals, reconstructions))


def _numbers(restored: RestoredImages) -> dict[str, float]:
    # A sum of integers is exact, so the number does not depend on the order of the images.
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
