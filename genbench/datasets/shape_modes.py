"""Assigns an image to a mode of `shapes`: the one whose rendering explains it."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from genbench.datasets.outlines import COLOURS, KINDS, RADIUS, coverage

__all__ = ["nearest_mode"]

EXPLAINED = 0.75  # the minimum share of an image's deviation from its background that the drawn shape must explain
COLOUR_TOLERANCE = 40.0  # grey levels: about half the distance of orange and yellow, the two most alike
_LEAST_CONTRAST = 20.0  # grey levels, root mean square over the area of the smallest shape
_SLACK = 1.15  # how far beyond RADIUS a shape may be, as a factor
_CHUNK = 256


def nearest_mode(images: Tensor) -> Tensor:
    """Return the mode of each image, kind × 8 + colour, or -1 if it shows none of them.

    The background is read off the first and the last row. For each colour, projection gives the covered share of each
    pixel, and the colour with the smallest residual is chosen. The covered area and its centroid determine the size
    and position of a shape of each kind, and the kind with the closest rendering is chosen. The image belongs to that
    mode if the rendering explains at least `EXPLAINED` of the squared deviation from the background and the shape's
    mean colour is within `COLOUR_TOLERANCE` of the mode's.

    Args:
        images: (N, 3, S, S) uint8.

    Returns:
        (N,) int64 on the device of `images`.
    """
    none = torch.empty(0, dtype=torch.int64, device=images.device)
    return torch.cat([none, *(_modes(images[start : start + _CHUNK]) for start in range(0, len(images), _CHUNK))])


def _modes(images: Tensor) -> Tensor:
    pixels = images.float()
    size = pixels.shape[-1]
    share = torch.arange(size, device=pixels.device) / (size - 1)
    top, bottom = pixels[:, :, :1].mean(-1), pixels[:, :, -1:].mean(-1)  # (N, 3, 1)
    background = top + (bottom - top) * share  # (N, 3, H)
    deviation = pixels - background[..., None]
    total = deviation.square().sum((1, 2, 3))

    colour, covered = _colour(deviation, background)
    kind, drawn, radius = _kind(covered)
    direction = _palette(pixels.device)[colour][:, :, None] - background
    remainder = deviation - drawn[:, None] * direction[..., None]  # (N, 3, H, W)
    tint = (drawn[:, None] * remainder).sum((2, 3)) / drawn.square().sum((1, 2))[:, None]  # (N, 3), by least squares

    smallest_area = 2 * (RADIUS[0] * size) ** 2
    shown = total > 3 * _LEAST_CONTRAST**2 * smallest_area
    sized = (radius > RADIUS[0] / _SLACK * size) & (radius < RADIUS[1] * _SLACK * size)
    explained = remainder.square().sum((1, 2, 3)) <= (1 - EXPLAINED) * total
    tinted = tint.square().sum(1).sqrt() > COLOUR_TOLERANCE
    return torch.where(shown & sized & explained & ~tinted, kind * len(COLOURS) + colour, -1)


def _palette(device: torch.device) -> Tensor:
    return torch.tensor(list(COLOURS.values()), dtype=torch.float32, device=device)


def _colour(deviation: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Return the colour (N,) that best explains the deviation, and the share of each pixel it covers (N, H, W)."""
    remainders, shares = [], []
    for colour in _palette(deviation.device):
        direction = (colour[None, :, None] - background)[..., None]  # (N, 3, H, 1)
        share = ((deviation * direction).sum(1) / direction.square().sum(1)).clamp(0, 1)
        remainders.append((deviation - share[:, None] * direction).square().sum((1, 2, 3)))
        shares.append(share)
    best = torch.stack(remainders).argmin(0)
    return best, torch.stack(shares)[best, torch.arange(len(best), device=best.device)]


def _kind(covered: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the kind (N,) whose rendering is closest to the coverage, that rendering (N, H, W) and its radius (N,)."""
    size = covered.shape[-1]
    pixels = torch.arange(size, device=covered.device) + 0.5
    # Steeper edges keep area and centroid, and remove the weight of faint noise far from the shape.
    steep = (2 * covered - 0.5).clamp(0, 1)
    area = steep.sum((1, 2)).clamp(min=1e-3)
    centroid = torch.stack([(steep.sum(1) * pixels).sum(1), (steep.sum(2) * pixels).sum(1)], 1) / area[:, None]
    drawings, radii, distances = [], [], []
    for name in KINDS:
        unit_area, offset = _moments(name)
        radius = (area / unit_area).sqrt()
        drawing = coverage(name, centroid - radius[:, None] * offset.to(covered.device), radius, size)
        drawings.append(drawing)
        radii.append(radius)
        distances.append((drawing - covered).square().sum((1, 2)))
    kind = torch.stack(distances).argmin(0)
    which = torch.arange(len(kind), device=kind.device)
    return kind, torch.stack(drawings)[kind, which], torch.stack(radii)[kind, which]


@cache
def _moments(kind: str) -> tuple[float, Tensor]:
    """Return the area of a kind of radius 1 and its centroid (2,), from a large rendering."""
    radius, size = 200.0, 420
    drawing = coverage(kind, torch.tensor([[size / 2, size / 2]]), torch.tensor([radius]), size)[0].double()
    pixels = torch.arange(size, dtype=torch.float64) + 0.5 - size / 2
    area = drawing.sum()
    offset = torch.stack([(drawing.sum(0) * pixels).sum(), (drawing.sum(1) * pixels).sum()]) / area / radius
    return float(area) / radius**2, offset.float()
