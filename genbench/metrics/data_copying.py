"""C_T: whether samples lie closer to the training images than held-out images of the same region do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.cells import assign_cells, fit_cells
from genbench.metrics.constants import COPYING_CELLS, COPYING_LEAST
from genbench.metrics.neighbours import BYTE_BUDGET, nearest_neighbours
from genbench.metrics.not_measurable import NotMeasurable

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["data_copying", "mann_whitney_z", "measure"]


def data_copying(
    samples: Tensor,
    reference: Tensor,
    held_out: Tensor,
    *,
    cells: int = COPYING_CELLS,
    least: int = COPYING_LEAST,
    seed: int = 0,
    byte_budget: int = BYTE_BUDGET,
) -> tuple[float, float]:
    """Return (C_T, p): the statistic of the data-copying test, and its one-sided p.

    In each cell of a k-means partition of the training features, `Z_U` is the standardised Mann–Whitney statistic that
    compares the distances of samples and of held-out images to their nearest training image;
    `C_T = Σ w Z_U / Σ w`, where w is the share of held-out images in the cell. C_T is near 0 for samples from the
    data's own distribution; far below 0 they are copies; far above, they miss the data. `p = Φ(C_T · Σw / √Σw²)`,
    because the cells are independent and each Z_U is then standard normal.

    Cells with fewer than `least` samples or held-out images are left out. The distance is to the nearest of all
    training images (the authors' code searches only the cell), and ties take mid-ranks: copies all have distance 0.

    Paper: Meehan, Chaudhuri & Dasgupta 2020, "A non-parametric test to detect data-copying in generative models",
    https://arxiv.org/abs/2004.05675

    Args:
        samples: (M, d) features.
        reference: (N, d) features of the training images.
        held_out: (H, d) features of held-out images, disjoint from the samples.
        cells: number of cells.
        least: images of each kind that a cell needs to count.
        seed: seeds the partition.
        byte_budget: memory limit for the blocks.

    Raises:
        NotMeasurable: no cell holds enough of both.
    """
    centroids = fit_cells(reference, cells, seed=seed)
    return in_cells(
        nearest_neighbours(samples, reference, 1, byte_budget)[0][:, 0],
        assign_cells(samples, centroids),
        nearest_neighbours(held_out, reference, 1, byte_budget)[0][:, 0],
        assign_cells(held_out, centroids),
        cells=cells,
        least=least,
    )


def in_cells(
    samples: Tensor,
    sample_cells: Tensor,
    held_out: Tensor,
    held_out_cells: Tensor,
    *,
    cells: int = COPYING_CELLS,
    least: int = COPYING_LEAST,
) -> tuple[float, float]:
    """Return (C_T, p) from distances to the training images and cell indices."""
    scores, weights = [], []
    for cell in range(cells):
        inside, outside = samples[sample_cells == cell], held_out[held_out_cells == cell]
        if min(len(inside), len(outside)) >= least:
            scores.append(mann_whitney_z(inside, outside))
            weights.append(len(outside) / len(held_out))
    if not weights:
        raise NotMeasurable(f"c_t: no cell holds {least} samples and {least} held-out items; draw more of both")
    statistic = sum(w * z for w, z in zip(weights, scores, strict=True)) / sum(weights)
    deviation = math.sqrt(sum(w * w for w in weights)) / sum(weights)
    return statistic, 0.5 * math.erfc(-statistic / deviation / math.sqrt(2))


def mann_whitney_z(first: Tensor, second: Tensor) -> float:
    """Return the standardised Mann–Whitney U: below 0 when `first` tends to be smaller than `second`.

    `z = (U − nm/2)/σ`, `U = #{first > second} + ½ #{first = second}`, with σ² corrected for ties. 0 if all values are
    tied.

    >>> round(mann_whitney_z(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])), 4)
    -1.5492
    """
    n, m = len(first), len(second)
    both = torch.cat([first, second])
    values, group, ties = torch.unique(both, return_inverse=True, return_counts=True)
    ties = ties.double()
    ranks = (ties.cumsum(dim=0) - (ties - 1) / 2)[group]
    u = float(ranks[:n].sum()) - n * (n + 1) / 2
    tied = float((ties**3 - ties).sum()) / ((n + m) * (n + m - 1))
    variance = n * m / 12 * (n + m + 1 - tied)
    return (u - n * m / 2) / math.sqrt(variance) if len(values) > 1 else 0.0


def measure(evidence: Evidence) -> dict[str, float]:
    """`c_t` and `c_t_p` of the samples."""
    statistics = evidence.statistics
    cells = assign_cells(evidence.compared, statistics.centroids)
    samples, held_out = evidence.sides(evidence.nearest_training[0], statistics.held_out_distances)
    sample_cells, held_out_cells = evidence.sides(cells, statistics.held_out_cells)
    statistic, p = in_cells(samples, sample_cells, held_out, held_out_cells)
    return {"c_t": statistic, "c_t_p": p}
