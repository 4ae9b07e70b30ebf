"""Turns images into PNG grids for people to look at."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from genbench.kinds.grid import BACKGROUND, COLUMNS, GAP, enlargement
from genbench.machine.atomic import replacing

__all__ = ["save_grid", "save_pairs"]


def save_grid(path: Path, images: Tensor) -> None:
    """Write (N, C, H, W) uint8 as a PNG of a grid, row by row; completely or not at all.

    One channel is grey, three are RGB; two-channel images of one pixel represent points in the plane, and are plotted
    as such; for any other number of channels, the first is shown.
    """
    with replacing(path) as temporary:
        _grid(images).save(temporary, format="PNG")


def save_pairs(path: Path, originals: Tensor, restored: Tensor) -> None:
    """Write (N, C, H, W) uint8 twice as `save_grid` does: each original with its reconstruction on the right.

    Points in the plane are shown as two planes side by side, because in one plane originals and reconstructions could
    not be distinguished.
    """
    if originals.shape[1:] == (2, 1, 1):
        left, right = _plane(originals), _plane(restored)
        canvas = Image.new("L", (left.width + GAP + right.width, left.height))
        canvas.paste(left, (0, 0))
        canvas.paste(right, (left.width + GAP, 0))
    else:
        canvas = _grid(torch.stack([originals, restored], 1).flatten(0, 1))
    with replacing(path) as temporary:
        canvas.save(temporary, format="PNG")


def _grid(images: Tensor) -> Image.Image:
    if images.shape[1:] == (2, 1, 1):
        return _plane(images)
    images = images if images.shape[1] == 3 else images[:, :1]
    factor = enlargement(*images.shape[2:])
    tiles = images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    count, channels, height, width = tiles.shape
    rows = -(-count // COLUMNS)
    canvas = torch.full(
        (channels, rows * (height + GAP) + GAP, COLUMNS * (width + GAP) + GAP), BACKGROUND, dtype=torch.uint8
    )
    for index, tile in enumerate(tiles):
        top = GAP + index // COLUMNS * (height + GAP)
        left = GAP + index % COLUMNS * (width + GAP)
        canvas[:, top : top + height, left : left + width] = tile
    pixels = canvas.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)


def _plane(points: Tensor) -> Image.Image:
    """Plot two-channel one-pixel images as dark points of a 256 × 256 plane, with the second channel upwards."""
    x, y = points[:, :, 0, 0].long().unbind(1)
    hits = torch.zeros(256 * 256).index_add_(0, (255 - y) * 256 + x, torch.ones(len(points))).view(256, 256)
    # A point covers 3 × 3 pixels, and several points in one spot are darker.
    spread = torch.nn.functional.avg_pool2d(hits[None, None], 3, 1, 1)[0, 0] * 9
    shade = (255 * torch.exp(-spread * 0.7)).round().to(torch.uint8)
    return Image.fromarray(shade.repeat_interleave(2, 0).repeat_interleave(2, 1).numpy())
