"""Structural similarity of image pairs, over whole windows only, with a window that fits the image."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.metrics.features import check_images

__all__ = ["scales", "similarity", "window"]

_LARGEST_WINDOW = 11
_SIGMA = 1.5
# Wang et al. 2004, (K L)² for the luminance and the structure term, on the [0, 1] scale.
_LUMINANCE, _STRUCTURE = 0.01**2, 0.03**2
# Wang et al. 2003, the exponents of the five scales.
_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# Pixels per chunk: its maps stay in the processor's cache, and memory use is bounded.
_CHUNK_VALUES = 65_536
_MIDDLE = 0.5


def window(height: int, width: int) -> int:
    """Return the side of the Gaussian window: 11, or the largest odd number that fits a smaller image.

    >>> window(32, 32), window(8, 8)
    (11, 7)
    """
    side = min(height, width, _LARGEST_WINDOW)
    return side if side % 2 else side - 1


def scales(height: int, width: int) -> int:
    """Return the number of scales of MS-SSIM: up to 5, as long as the window fits the image, halved for each.

    >>> scales(8, 8), scales(28, 28), scales(64, 64), scales(256, 256)
    (1, 2, 3, 5)
    """
    side, size = min(height, width), window(height, width)
    count = 1
    while count < len(_EXPONENTS) and side // 2**count >= size:
        count += 1
    return count


def similarity(first: Tensor, second: Tensor, *, multiscale: bool) -> Tensor:
    """Return the SSIM or the MS-SSIM of each pair of images, (N,) float64, at most 1.

    SSIM is the mean over channels and over all positions at which the window lies inside the image:
    `(2 μ₁μ₂ + C₁)(2 σ₁₂ + C₂) / ((μ₁² + μ₂² + C₁)(σ₁² + σ₂² + C₂))`, its moments weighted by a Gaussian of σ = 1.5,
    11 wide, summing to 1; C₁ = 0.01², C₂ = 0.03² on the [0, 1] scale. An image narrower than 11 uses the largest odd
    window that fits, with σ in proportion (8×8: side 7, σ 0.95, four positions); the result is then a different
    measure, comparable only with itself. Images are not padded: a mirrored border would count its pixels several times.

    MS-SSIM is the product over scales of the mean structure terms (the second factor), each raised to its exponent, the
    coarsest scale with the whole SSIM; each scale averages 2×2 pixels of the previous one. It uses as many scales as
    fit (`scales`) with the first exponents of the five, rescaled to sum to 1; a mean below 0 counts as 0. Images are
    processed in float32, accurate to 1e-6 where they have structure and to 1e-4 where both are nearly flat, and their
    means in float64.

    Paper: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", equation 13,
    https://doi.org/10.1109/TIP.2003.819861; Wang, Simoncelli & Bovik 2003, "Multiscale structural similarity for
    image quality assessment", equation 7, https://doi.org/10.1109/ACSSC.2003.1292216

    Args:
        first: (N, C, H, W) uint8, H and W at least 3.
        second: of the same shape.
        multiscale: MS-SSIM instead of SSIM.

    Raises:
        ValueError: shapes that differ, images that are not uint8 or are too small.
    """
    check_images(first, "first images")
    check_images(second, "second images")
    if first.shape != second.shape:
        raise ValueError(f"similarity: images of shape {tuple(first.shape)} and {tuple(second.shape)} cannot be paired")
    height, width = first.shape[2:]
    if min(height, width) < 3:
        raise ValueError(f"similarity: images of {height}×{width} are too small for a window, at least 3×3 needed")
    count = scales(height, width) if multiscale else 1
    planes = zip(*(torch.split(side.flatten(0, 1), _planes(height * width)) for side in (first, second)), strict=True)
    terms = torch.cat([_scale_terms(_prepared(a), _prepared(b), count) for a, b in planes])
    found: Tensor = terms.unflatten(0, first.shape[:2]).mean(dim=1)  # (N, count), over channels
    if count == 1:  # SSIM itself, which may lie below 0
        return found[:, 0]
    exponents = torch.tensor(_EXPONENTS[:count], dtype=torch.float64, device=found.device)
    product: Tensor = (found.clamp(min=0) ** (exponents / exponents.sum())).prod(dim=1)
    return product


def _planes(pixels: int) -> int:
    return max(1, _CHUNK_VALUES // pixels)


def _prepared(planes: Tensor) -> Tensor:
    """Return (H, W, P): on the [0, 1] scale minus its midpoint, so that variances in float32 keep seven digits.

    Over small images, windows slide along the first two dimensions about twice as fast as along the last two.
    """
    return planes.permute(1, 2, 0).contiguous().float() / 255 - _MIDDLE


def _scale_terms(first: Tensor, second: Tensor, count: int) -> Tensor:
    """Return (P, count) float64 for (H, W, P) planes: the structure term of each scale, and SSIM for the last."""
    weights = _weights(window(*first.shape[:2]))
    found = []
    for scale in range(count):
        if scale:
            first, second = _halved(first), _halved(second)
        found.append(_terms(first, second, weights, whole=scale == count - 1))
    return torch.stack(found, dim=1)


def _halved(planes: Tensor) -> Tensor:
    """Return the means of 2x2 pixels of (H, W, P), a last odd row or column left out.

    To the bit those of `avg_pool2d`, which takes three times as long on planes that are the last dimension.
    """
    height, width = (size // 2 * 2 for size in planes.shape[:2])
    upper, lower = planes[:height:2, :width], planes[1:height:2, :width]
    found = upper[:, ::2] + upper[:, 1::2]
    return found.add_(lower[:, ::2]).add_(lower[:, 1::2]).div_(4)


def _terms(first: Tensor, second: Tensor, weights: list[float], *, whole: bool) -> Tensor:
    """Return (P,) the mean over positions of the structure term, or of SSIM."""
    moments = torch.stack([first, second, first * second, first.square().add_(second.square())])
    a, b, product, squares = _weighted(_weighted(moments, weights, dim=2), weights, dim=1)
    means, powers = a * b, a.square().add_(b.square())
    found = product.sub_(means).mul_(2).add_(_STRUCTURE).div_(squares.sub_(powers).add_(_STRUCTURE))
    if whole:  # (a + m)(b + m) and (a + m)² + (b + m)², with m the midpoint
        shift = a.add_(b).mul_(_MIDDLE)
        upper = means.add_(shift).mul_(2).add_(2 * _MIDDLE**2 + _LUMINANCE)
        found.mul_(upper).div_(powers.add_(shift, alpha=2).add_(2 * _MIDDLE**2 + _LUMINANCE))
    mean: Tensor = found.flatten(0, 1).mean(dim=0, dtype=torch.float64)
    return mean


def _weights(size: int) -> list[float]:
    """Return the weights of the window along one side; the window is their product."""
    offsets = torch.arange(size, dtype=torch.float64) - size // 2
    found = torch.exp(-0.5 * (offsets / (_SIGMA * size / _LARGEST_WINDOW)).square())
    return (found / found.sum()).tolist()


def _weighted(values: Tensor, weights: list[float], dim: int) -> Tensor:
    """Sum a sliding window along one dimension, where it fits: shifted sums, three times as fast as a convolution."""
    count = values.shape[dim] - len(weights) + 1
    total = values.narrow(dim, 0, count) * weights[0]
    for shift, weight in enumerate(weights[1:], start=1):
        total.add_(values.narrow(dim, shift, count), alpha=weight)
    return total
