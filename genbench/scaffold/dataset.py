"""Grey images of a soft spot, labelled by the quarter that it lies in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genbench import Splits, hookimpl


@hookimpl
def load_dataset(options: dict[str, Any]) -> Splits:
    return draw(**options)


def draw(
    size: int = 16,
    count: int = 1000,
    held_out: int = 250,
    seed: int = 0,
) -> Splits:
    """Draw `count` images of `size` pixels a side, and held-out images from another seed."""
    if size < 4:
        raise ValueError(f"size must be at least 4, not {size}")
    train, train_labels = spots(count, size, 2 * seed)
    other, other_labels = spots(held_out, size, 2 * seed + 1)
    return Splits(
        train=train,
        held_out=other,
        train_labels=train_labels,
        held_out_labels=other_labels,
        class_names=("upper left", "upper right", "lower left", "lower right"),
        licence="CC0: drawn",
    )


def spots(count: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return (N, 1, size, size) uint8 and the (N,) int64 quarter of each."""
    random = torch.Generator().manual_seed(seed)  # never the global one
    centre = torch.rand(count, 2, generator=random, dtype=torch.float64)
    quarter = (centre[:, 0] >= 0.5) * 2 + (centre[:, 1] >= 0.5)
    side = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    down = side[None, :, None] - centre[:, :1, None]
    across = side[None, None, :] - centre[:, 1:, None]
    grey = torch.exp(-(down**2 + across**2) / 0.02)
    return (255 * grey).round().to(torch.uint8)[:, None], quarter.long()
