"""Structural similarity of image pairs, with a window that fits the image."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.metrics.features import check_images

__all__ = ["scales", "similarity", "window"]

_LARGEST_WINDOW = 11
_SIGMA = 1.5
# Wang et al. 2003, the exponents of the five scales.
_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# Values of the images of one chunk. The convolutions unfold their windows, 121 values a pixel; on the CPU a larger
# chunk's unfolded windows come fresh from the system each time, and take five times as long and a gigabyte.
_CHUNK_VALUES = 12_288
_LARGEST_CHUNK = 256


def window(height: int, width: int) -> int:
    """Return the side of the Gaussian window: 11, or the largest odd number that fits a smaller image.

    >>> window(32, 32), window(8, 8)
    (11, 7)
    """
    side = min(height, width, _LARGEST_WINDOW)
    return side if side % 2 else side - 1


def scales(height: int, width: int) -> int:
    """Return how many scales MS-SSIM has: up to 5, while the window fits the image halved at each.

    >>> scales(8, 8), scales(28, 28), scales(64, 64), scales(256, 256)
    (1, 2, 3, 5)
    """
    side, size = min(height, width), window(height, width)
    count = 1
    # The second condition is torchmetrics' own check of its input.
    while count < len(_EXPONENTS) and side // 2**count >= size and side // count**2 >= size:
        count += 1
    return count


def similarity(first: Tensor, second: Tensor, *, multiscale: bool) -> Tensor:
    """Return the SSIM or the MS-SSIM of each pair of images, (N,) float64, at most 1.

    With a Gaussian window of σ = 1.5 and side 11. An image narrower than 11 takes the largest odd side that fits,
    with σ in proportion (8×8: side 7, σ 0.95, four window positions); this is a measure of its own, comparable with
    nothing but itself. MS-SSIM takes as many scales as fit (`scales`) with the first exponents of the five, made to
    sum to 1, and negative structure terms count as 0.

    Paper: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity",
    https://doi.org/10.1109/TIP.2003.819861; Wang, Simoncelli & Bovik 2003, "Multiscale structural similarity for
    image quality assessment", https://doi.org/10.1109/ACSSC.2003.1292216

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
    size = min(_LARGEST_CHUNK, max(1, _CHUNK_VALUES // first[0].numel())) if len(first) else 1
    chunks = zip(torch.split(first, size), torch.split(second, size), strict=True)
    return torch.cat([_pairs(a.double() / 255, b.double() / 255, multiscale) for a, b in chunks])


def _pairs(first: Tensor, second: Tensor, multiscale: bool) -> Tensor:
    # Four seconds of imports, which a request that is refused need not wait for.
    from genbench.metrics.torchmetrics_import import ms_ssim, ssim

    height, width = first.shape[2:]
    size, count = window(height, width), scales(height, width)
    sigma = _SIGMA * size / _LARGEST_WINDOW
    found: Tensor | tuple[Tensor, Tensor]
    if multiscale and count > 1:
        exponents = _EXPONENTS[:count]
        found = ms_ssim(
            first,
            second,
            sigma=sigma,
            kernel_size=size,
            reduction="none",
            data_range=1.0,
            betas=tuple(exponent / sum(exponents) for exponent in exponents),
            normalize="relu",
        )
    else:
        found = ssim(first, second, sigma=sigma, reduction="none", data_range=1.0)
    # Either function returns a pair when it is asked for more than the values.
    assert isinstance(found, Tensor)
    return found.reshape(len(first))
