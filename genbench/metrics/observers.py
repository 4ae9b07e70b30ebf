"""What metrics collect in a sweep over pairs of features, block by block."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.metrics.neighbours import TIE, Block

__all__ = ["Balls", "ClippedBalls", "KernelSums", "Manifolds"]


class KernelSums:
    """Observer: `Σ_j k(x_i, y_j)` for every row i, with `k(x, y) = (x·y/d + 1)³`, never pairing a point with itself.

    Args:
        count: rows on the left of the sweep.
        dimension: d.
    """

    def __init__(self, count: int, dimension: int, device: torch.device | None = None) -> None:
        self.rows = torch.zeros(count, dtype=torch.float64, device=device)
        self._dimension = dimension

    def observe(self, block: Block) -> None:
        kernel = _kernel(block.products, self._dimension)
        if block.same:
            kernel.fill_diagonal_(0.0)
        self.rows[block.rows] += kernel.sum(dim=1)


class Manifolds:
    """Observer of samples against reference: which points lie in a ball around some point of the other side.

    A ball includes its surface, as in the paper.

    Args:
        sample_radii: (M,) float64 distances of each sample to its k-th nearest other sample.
        reference_radii: (N,) the same within the reference.
    """

    def __init__(self, sample_radii: Tensor, reference_radii: Tensor) -> None:
        self._sample_limits = sample_radii.square() * (1 + TIE)
        self._reference_limits = reference_radii.square() * (1 + TIE)
        self.sample_inside = torch.zeros(len(sample_radii), dtype=torch.bool, device=sample_radii.device)
        self.reference_inside = torch.zeros(len(reference_radii), dtype=torch.bool, device=reference_radii.device)

    def observe(self, block: Block) -> None:
        in_reference_ball = block.squared <= self._reference_limits[block.columns]
        self.sample_inside[block.rows] |= in_reference_ball.any(dim=1)
        in_sample_ball = block.squared <= self._sample_limits[block.rows, None]
        self.reference_inside[block.columns] |= in_sample_ball.any(dim=0)


class Balls:
    """Observer of samples against reference: how many reference balls hold each sample, and how many each holds.

    A ball excludes its surface, as in the paper's code.

    Args:
        count: how many samples.
        reference_radii: (N,) float64 distances of each reference point to its k-th nearest other.
    """

    def __init__(self, count: int, reference_radii: Tensor) -> None:
        self._limits = reference_radii.square() * (1 - TIE)
        self.balls = torch.zeros(count, dtype=torch.int64, device=reference_radii.device)
        self.held = torch.zeros(len(reference_radii), dtype=torch.int64, device=reference_radii.device)

    @property
    def covered(self) -> Tensor:
        """(N,) bool, whether each reference ball holds a sample."""
        return self.held > 0

    def observe(self, block: Block) -> None:
        inside = block.squared < self._limits[block.columns]
        self.balls[block.rows] += inside.sum(dim=1)
        self.held[block.columns] += inside.sum(dim=0)


class ClippedBalls:
    """Observer of samples against reference: how many clipped reference balls hold each sample.

    A ball includes its surface, as in the paper's code.

    Args:
        count: how many samples.
        radii: (N,) float64.
    """

    def __init__(self, count: int, radii: Tensor) -> None:
        self._limits = radii.square() * (1 + TIE)
        self.balls = torch.zeros(count, dtype=torch.int64, device=radii.device)

    def observe(self, block: Block) -> None:
        self.balls[block.rows] += (block.squared <= self._limits[block.columns]).sum(dim=1)


def _kernel(products: Tensor, dimension: int) -> Tensor:
    shifted = products / dimension + 1
    return shifted.square().mul_(shifted)
