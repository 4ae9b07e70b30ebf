"""The grid in which images are shown, and how they are cut out of it again, to the pixel. Without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["BACKGROUND", "COLUMNS", "GAP", "cut", "enlargement"]

LEAST_TILE = 32  # pixels: smaller images are enlarged by a whole factor, so that each pixel stays a square
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
    """Return the images of a grid as they were before they were enlarged, (H, W) grey or (H, W, 3).

    Args:
        path: of the grid.
        shape: (C, H, W) of one image.
        most: how many there may be; the last row of a grid need not be full.

    Raises:
        ValueError: the file is no such grid, or one that does not show all of an image, as of two channels.
        OSError: it cannot be read as a picture.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise ValueError(f"images of {channels} channels are not shown whole")
    factor = enlargement(height, width)
    tall, wide = height * factor + GAP, width * factor + GAP
    with Image.open(path) as opened:
        rows, rest = divmod(opened.height - GAP, tall)
        if opened.width != COLUMNS * wide + GAP or rest or rows > -(-most // COLUMNS):
            raise ValueError(f"it is no grid of up to {most} images of {height} × {width}")
        pixels = np.asarray(opened.convert("L" if channels == 1 else "RGB"))
    images = []
    for place in range(min(most, rows * COLUMNS)):
        top, left = GAP + place // COLUMNS * tall, GAP + place % COLUMNS * wide
        tile = pixels[top : top + height * factor, left : left + width * factor]
        image = tile[::factor, ::factor]
        if not np.array_equal(tile, image.repeat(factor, 0).repeat(factor, 1)):
            raise ValueError("it was changed: its pixels are no squares")
        images.append(np.ascontiguousarray(image))
    return images
