"""The grids of images that a finished cell leaves beside its record."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from genbench.cell import pictures
from genbench.config import Cell
from genbench.datasets.dataset import Dataset
from genbench.machine.privacy import without_home
from genbench.records.identity import slug

__all__ = ["save_artifacts"]

PICTURED = 64  # images in a grid


def save_artifacts(
    directory: Path, cell: Cell, cell_id: str, dataset: Dataset, images: Tensor, restored: Tensor | None
) -> dict[str, str]:
    """Write the grids of a cell's samples, its reference and, where there are any, its reconstructions.

    Args:
        directory: the benchmark's; the grids go to `samples/` in it.
        cell: whose they are.
        cell_id: its identity, since cells of other budgets and sources may share the folder.
        dataset: of the cell.
        images: its samples, (N, C, H, W) uint8.
        restored: what it made of the held-out images, in their order: (N, C, H, W) uint8.

    Returns:
        The kind of each grid -> its path relative to `directory`.
    """
    name = slug(f"{without_home(cell.model.label)}-{dataset.name}-seed{cell.seed}")
    stem = f"samples/{name}-{cell_id[:6]}"
    data = f"samples/{slug(dataset.name)}-{dataset.fingerprint[:6]}-reference.png"
    paths = {"samples": f"{stem}.png", "reference": data}
    shown = len(images) if dataset.image_shape == (2, 1, 1) else PICTURED
    pictures.save_grid(directory / paths["samples"], images[:shown])
    pictures.save_grid(directory / paths["reference"], dataset.train.images[:shown])
    if restored is not None:
        paths["reconstructions"] = f"{stem}-reconstructions.png"
        half = PICTURED // 2
        pairs = torch.stack([dataset.held_out.images[:half], restored[:half]], 1).flatten(0, 1)
        pictures.save_grid(directory / paths["reconstructions"], pairs)
    return paths
