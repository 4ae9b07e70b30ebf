"""The grid in which images are shown, and how to cut them out of it again, to the pixel. Without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["BACKGROUND", "COLUMNS", "GAP", "cut", "enlargement"]

LEAST_TILE = 32  # pixels: smaller images are enlarged by a whole factor, so that each pixel remains a square
GAP = 2
COLUMNS = 8
BACKGROUND = 255


def enlargement(height: int, width: int) -> int:
    """Return the whole factor by which an image of this size is enlarged.

    >>> enlargement(8, 8), enlargement(64, 20)
    (4, 1)
    """
    return max(1, -(-LEAST_TILE // max(height, width)))


def cut(path: Path, shape: Sequence[int], most: int) -> list[NDArray[np.uint8]]:
    """Return the images of a grid at their original size, (H, W) grey or (H, W, 3).

    Args:
        path: the grid's file.
        shape: (C, H, W) of one image.
        most: the maximum number of images; the last row of a grid need not be full.

    Raises:
        ValueError: the file is not such a grid, or does not show an image completely, as with two channels.
        OSError: it cannot be read as a picture.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise ValueError(f"images with {channels} channels are not shown completely")
    factor = enlargement(height, width)
    tall, wide = height * factor + GAP, width * factor + GAP
    with Image.open(path) as opened:
        rows, rest = divmod(opened.height - GAP, tall)
        if opened.width != COLUMNS * wide + GAP or rest or rows > -(-most // COLUMNS):
            raise ValueError(f"it is not a grid of up to {most} images of {height} × {width}")
        pixels = np.asarray(opened.convert("L" if channels == 1 else "RGB"))
    images = []
    for place in range(min(most, rows * COLUMNS)):
        top, left = GAP + place // COLUMNS * tall, GAP + place % COLUMNS * wide
        tile = pixels[top : top + height * factor, left : left + width * factor]
        image = tile[::factor, ::factor]
        if not np.array_equal(tile, image.repeat(factor, 0).repeat(factor, 1)):
            raise ValueError("it was modified: its pixels are not squares")
        images.append(np.ascontiguousarray(image))
    return images
