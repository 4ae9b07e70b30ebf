"""The shapes that `shapes` draws, as signed distances to their outlines: negative inside, positive outside.

The formulas follow I. Quilez, 2D distance functions, https://iquilezles.org/articles/distfunctions2d/.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["COLOURS", "KINDS", "OUTLINES", "RADIUS", "coverage"]


def _length(x: Tensor, y: Tensor) -> Tensor:
    return (x * x + y * y).sqrt()


def _disc(x: Tensor, y: Tensor) -> Tensor:
    return _length(x, y) - 0.88


def _ring(x: Tensor, y: Tensor) -> Tensor:
    return (_length(x, y) - 0.7).abs() - 0.24


def _box(x: Tensor, y: Tensor, width: float, height: float) -> Tensor:
    across, along = x.abs() - width, y.abs() - height
    return _length(across.clamp(min=0), along.clamp(min=0)) + torch.maximum(across, along).clamp(max=0)


def _square(x: Tensor, y: Tensor) -> Tensor:
    return _box(x, y, 0.68, 0.68) - 0.1


def _diamond(x: Tensor, y: Tensor) -> Tensor:
    half = math.sqrt(0.5)
    return _box((x + y) * half, (y - x) * half, 0.6, 0.6) - 0.08


def _cross(x: Tensor, y: Tensor) -> Tensor:
    return torch.minimum(_box(x, y, 0.86, 0.2), _box(x, y, 0.2, 0.86)) - 0.08


def _polygon(x: Tensor, y: Tensor, corners: list[tuple[float, float]]) -> Tensor:
    """The signed distance to a closed polygon: to its nearest edge, with the sign given by the parity of crossings."""
    nearest = torch.full_like(x + y, math.inf)
    inside = torch.zeros_like(nearest, dtype=torch.bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        ex, ey = bx - ax, by - ay
        px, py = x - ax, y - ay
        along = ((px * ex + py * ey) / (ex * ex + ey * ey)).clamp(0, 1)
        dx, dy = px - along * ex, py - along * ey
        nearest = torch.minimum(nearest, dx * dx + dy * dy)
        if ey != 0:
            inside ^= ((y < ay) != (y < by)) & (px < py * (ex / ey))
    return torch.where(inside, -1.0, 1.0) * nearest.sqrt()


def _regular(count: int, radii: tuple[float, ...]) -> list[tuple[float, float]]:
    """Corners around the centre, the first at the top (y grows downwards), at radii that repeat."""
    angles = [2 * math.pi * corner / count for corner in range(count)]
    return [
        (radii[corner % len(radii)] * math.sin(angle), -radii[corner % len(radii)] * math.cos(angle))
        for corner, angle in enumerate(angles)
    ]


def _triangle(x: Tensor, y: Tensor) -> Tensor:
    return _polygon(x, y - 0.2, _regular(3, (0.95,))) - 0.1


def _star(x: Tensor, y: Tensor) -> Tensor:
    return _polygon(x, y, _regular(10, (0.95, 0.42))) - 0.05


def _heart(x: Tensor, y: Tensor) -> Tensor:
    """The union of two discs and a square standing on its corner."""
    half = math.sqrt(0.5)
    side = 0.52  # half the square's side: its upper edges are the discs' diameters
    middle = 0.12
    u, v = (x + y - middle) * half, (y - middle - x) * half
    square = _box(u, v, side, side)
    lobe_x, lobe_y = x.abs() - side * half, y - middle + side * half
    return torch.minimum(square, _length(lobe_x, lobe_y) - side)


OUTLINES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "diamond": _diamond,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
    "heart": _heart,
}

KINDS = tuple(OUTLINES)
COLOURS = {
    "red": (226, 54, 64),
    "orange": (245, 130, 32),
    "yellow": (250, 208, 44),
    "green": (52, 168, 83),
    "teal": (0, 178, 188),
    "blue": (44, 98, 226),
    "purple": (132, 66, 200),
    "pink": (242, 110, 178),
}
RADIUS = (0.22, 0.38)  # the smallest and the largest, as shares of the image's side


def coverage(kind: str, centre: Tensor, radius: Tensor, size: int) -> Tensor:
    """Return the share of each pixel that a shape covers, (N, size, size) in [0, 1].

    Args:
        kind: one of `KINDS`.
        centre: (N, 2), x and y in pixels.
        radius: (N,), in pixels.
        size: the side of the image.
    """
    pixels = torch.arange(size, dtype=torch.float32, device=centre.device) + 0.5
    x = (pixels[None, None, :] - centre[:, 0, None, None]) / radius[:, None, None]
    y = (pixels[None, :, None] - centre[:, 1, None, None]) / radius[:, None, None]
    # The distance to the outline in pixels, clipped to half a pixel on either side, gives the covered share.
    return (0.5 - OUTLINES[kind](x, y) * radius[:, None, None]).clamp(0, 1)
