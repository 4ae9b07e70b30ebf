"""What metrics collect in a sweep over pairs of features, block by block."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genbench.metrics.blocks import Block, ExactBlock
from genbench.metrics.near import Near, NearObserver
from genbench.metrics.neighbours import TIE

__all__ = ["Balls", "ClippedBalls", "KernelSums", "Manifolds", "clipped_radii"]

_FEW = 0.2  # share of the columns up to which a comparison is faster with these alone


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
        for strip in block.strips():
            kernel = _kernel(block.products_of(strip), self._dimension)
            if block.same:
                kernel.diagonal(strip.start).zero_()
            self.rows[block.rows][strip] += kernel.sum(dim=1)
            if block.mirrored:
                self.rows[block.columns] += kernel.sum(dim=0)


class Manifolds(NearObserver):
    """Observer of samples against reference: which points lie in a ball around some point of the other side.

    A ball includes its surface, as in the paper.

    Args:
        sample_radii: (M,) float64 distance of each sample to its k-th nearest other sample.
        reference_radii: (N,) the same within the reference.
    """

    def __init__(self, sample_radii: Tensor, reference_radii: Tensor) -> None:
        self._sample_limits = sample_radii.square() * (1 + TIE)
        self._reference_limits = reference_radii.square() * (1 + TIE)
        self.sample_inside = torch.zeros(len(sample_radii), dtype=torch.bool, device=sample_radii.device)
        self.reference_inside = torch.zeros(len(reference_radii), dtype=torch.bool, device=reference_radii.device)

    @property
    def row_limits(self) -> Tensor:
        return self._sample_limits

    @property
    def column_limits(self) -> Tensor:
        return self._reference_limits

    def observe(self, block: ExactBlock) -> None:
        for view in block.views():
            self.sample_inside[view.rows] |= _any(_inside(view, self._reference_limits, surface=True)[0])
            # The samples' balls, seen from the other side.
            inside, _ = _inside(view.transposed(), self._sample_limits, surface=True)
            self.reference_inside[view.columns] |= _any(inside)

    def observe_near(self, near: Near) -> None:
        self.sample_inside[near.rows[near.squared <= self._reference_limits[near.columns]]] = True
        self.reference_inside[near.columns[near.squared <= self._sample_limits[near.rows]]] = True


class Balls(NearObserver):
    """Observer of samples against reference: how many reference balls contain each sample, and vice versa.

    A ball excludes its surface, as in the paper's code.

    Args:
        count: number of samples.
        reference_radii: (N,) float64 distance of each reference point to its k-th nearest other.
    """

    def __init__(self, count: int, reference_radii: Tensor) -> None:
        self._limits = reference_radii.square() * (1 - TIE)
        self.balls = torch.zeros(count, dtype=torch.int64, device=reference_radii.device)
        self.held = torch.zeros(len(reference_radii), dtype=torch.int64, device=reference_radii.device)

    @property
    def covered(self) -> Tensor:
        """(N,) bool, whether each reference ball contains a sample."""
        return self.held > 0

    @property
    def column_limits(self) -> Tensor:
        return self._limits

    def observe(self, block: ExactBlock) -> None:
        for view in block.views():
            inside, columns = _inside(view, self._limits, surface=False)
            self.balls[view.rows] += _count(inside, 1)
            self.held[columns] += _count(inside, 0)

    def observe_near(self, near: Near) -> None:
        inside = near.squared < self._limits[near.columns]
        self.balls += near.rows[inside].bincount(minlength=len(self.balls))
        self.held += near.columns[inside].bincount(minlength=len(self.held))


class ClippedBalls(NearObserver):
    """Observer of samples, or of the reference itself, against reference: how many clipped balls contain each.

    A ball includes its surface, as in the paper's code.

    Args:
        count: number of samples.
        reference_radii: (N,) float64 as for `Balls`, before clipping.
    """

    def __init__(self, count: int, reference_radii: Tensor) -> None:
        self._limits = clipped_radii(reference_radii).square() * (1 + TIE)
        self.balls = torch.zeros(count, dtype=torch.int64, device=reference_radii.device)

    @property
    def column_limits(self) -> Tensor:
        return self._limits

    def observe(self, block: ExactBlock) -> None:
        for view in block.views():
            self.balls[view.rows] += _count(_inside(view, self._limits, surface=True)[0], 1)

    def observe_near(self, near: Near) -> None:
        inside = near.squared <= self._limits[near.columns]
        self.balls += near.rows[inside].bincount(minlength=len(self.balls))


def _inside(block: ExactBlock, limits: Tensor, *, surface: bool) -> tuple[Tensor, Tensor | slice]:
    """Return which squared distances are within their column's limit, for the columns that have any, and these columns.

    In large sets these columns are few: a ball around a point contains a handful of all points, and none of most
    blocks. Where they are many, all columns are returned, because picking them out takes longer than comparing the
    rest.

    Returns:
        (rows, columns) bool, indices of the columns.
    """
    compare = torch.le if surface else torch.lt
    columns = (block.column_minima <= limits[block.columns]).nonzero()[:, 0]
    if len(columns) > _FEW * len(block.column_minima):
        return compare(block.squared, limits[block.columns]), block.columns
    places = columns + block.columns.start
    return compare(block.squared[:, columns], limits[places]), places


# As numbers, because torch reduces booleans a few times (`sum`) to thirty times (`any`) more slowly.


def _any(inside: Tensor) -> Tensor:
    """Return (rows,) bool, whether any column of the row is true."""
    return inside.view(torch.uint8).amax(dim=1).bool() if inside.shape[1] else inside.any(dim=1)


def _count(inside: Tensor, dim: int) -> Tensor:
    """Return int32, how many are true along a dimension."""
    return inside.view(torch.uint8).sum(dim=dim, dtype=torch.int32)


def clipped_radii(radii: Tensor) -> Tensor:
    """Return (N,) radii, those above their median clipped to it.

    >>> clipped_radii(torch.tensor([1.0, 2.0, 30.0])).tolist()
    [1.0, 2.0, 2.0]
    """
    median = radii.quantile(0.5).nan_to_num(nan=math.inf, posinf=math.inf)  # between two infinite ones it is NaN
    return radii.minimum(median)


def _kernel(products: Tensor, dimension: int) -> Tensor:
    # Two operations, each of which reads a block once: half the time of a division, a sum, a square and a product.
    return torch.add(products.new_ones(()), products, alpha=1 / dimension).pow_(3)
