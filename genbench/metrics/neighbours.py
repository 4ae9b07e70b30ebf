"""All pairs of two sets of features, in blocks that fit a byte budget: what every neighbour-based metric is built on.

One sweep computes each block of inner products once and shows it to any number of observers, so that a suite of
metrics (kernel sums, nearest neighbours, balls) costs one matrix product and not one each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from genbench.metrics.features import check_features

__all__ = ["BYTE_BUDGET", "Block", "Observer", "Nearest", "nearest_neighbours", "sweep", "TIE"]

BYTE_BUDGET = 2**29

# Two squared distances closer than this, relatively, count as equal. A copy of a training image is exactly as far from
# the others as the original, but the two are computed in different blocks and differ in their last bits.
TIE = 1e-9

# A matrix product is no faster on larger blocks, and with more blocks a symmetric sweep skips more.
_LARGEST_BLOCK = 1024

# Of a squared norm; below it a squared distance is rounding noise of the matrix product, and the two are one point.
_NOISE = 2e-13


@dataclass(frozen=True)
class Block:
    """All pairs of `left[rows]` with `right[columns]`; observers read it and leave it as it is.

    Args:
        products: (rows, columns) float64 inner products.
        squared: (rows, columns) float64 squared Euclidean distances.
        same: whether both sides are the same rows of one set, so that the diagonal pairs each point with itself.
    """

    rows: slice
    columns: slice
    products: Tensor
    squared: Tensor
    same: bool

    def transposed(self) -> Block:
        """The same pairs with left and right exchanged."""
        return Block(self.columns, self.rows, self.products.T, self.squared.T, self.same)


class Observer(Protocol):
    """What is shown every block of a sweep, each pair exactly once."""

    def observe(self, block: Block) -> None: ...


def sweep(left: Tensor, right: Tensor, observers: Sequence[Observer], byte_budget: int = BYTE_BUDGET) -> None:
    """Show every pair of a row of `left` with a row of `right` to the observers, in blocks.

    `|x − y|² = |x|² + |y|² − 2 x·y`, in float64. With `left is right` each product is computed once and shown twice,
    the second time transposed.

    Args:
        left: (N, d) floating point.
        right: (M, d) floating point.
        byte_budget: what the blocks may take beside the features; 50,000 × 50,000 at 2048-d needs no more than any
            other.

    Raises:
        ValueError: features are not finite, not (N, d), or their dimensions differ.
    """
    check_features(left, "left features")
    check_features(right, "right features", dimension=left.shape[1])
    symmetric = left is right
    size = _block_size(left.shape[1], byte_budget)
    left_norms = _squared_norms(left, size)
    right_norms = left_norms if symmetric else _squared_norms(right, size)
    for rows in _slices(len(left), size):
        block_left = left[rows].double()
        for columns in _slices(len(right), size):
            if symmetric and columns.start < rows.start:
                continue
            products = block_left @ right[columns].double().T
            squared = _squared_distances(products, left_norms[rows], right_norms[columns])
            block = Block(rows, columns, products, squared, same=symmetric and rows == columns)
            for observer in observers:
                observer.observe(block)
                if symmetric and not block.same:
                    observer.observe(block.transposed())


class Nearest:
    """Observer: the `k` nearest points of `right` for each row of `left`.

    Args:
        count: rows of `left`.
        k: how many neighbours to keep; fewer points on the right leave infinite distances.
        exclude_self: for a sweep of a set with itself: a point is no neighbour of its own.
    """

    def __init__(
        self, count: int, k: int = 1, *, exclude_self: bool = False, device: torch.device | None = None
    ) -> None:
        self.squared = torch.full((count, k), math.inf, dtype=torch.float64, device=device)
        self.indices = torch.full((count, k), -1, dtype=torch.int64, device=device)
        self._exclude_self = exclude_self

    @property
    def distances(self) -> Tensor:
        """(N, k) float64 Euclidean distances, ascending."""
        return self.squared.sqrt()

    def observe(self, block: Block) -> None:
        squared = block.squared
        if block.same and self._exclude_self:
            squared = squared.clone().fill_diagonal_(math.inf)
        k = self.squared.shape[1]
        found = squared.topk(min(k, squared.shape[1]), dim=1, largest=False)
        squared_all = torch.cat([self.squared[block.rows], found.values], dim=1)
        indices_all = torch.cat([self.indices[block.rows], found.indices + block.columns.start], dim=1)
        best = squared_all.topk(k, dim=1, largest=False, sorted=True)
        self.squared[block.rows] = best.values
        self.indices[block.rows] = indices_all.gather(1, best.indices)


def nearest_neighbours(
    queries: Tensor, among: Tensor, k: int = 1, byte_budget: int = BYTE_BUDGET
) -> tuple[Tensor, Tensor]:
    """Return the distances to, and the indices of, the `k` nearest rows of `among` for each row of `queries`.

    With `queries is among` no point is its own neighbour.

    Returns:
        (N, k) float64 ascending distances, (N, k) int64 indices.

    Example:
        >>> points = torch.tensor([[0.0], [1.0], [3.0]])
        >>> nearest_neighbours(points, points)[0].flatten().tolist()
        [1.0, 1.0, 2.0]
    """
    nearest = Nearest(len(queries), k, exclude_self=queries is among, device=queries.device)
    sweep(queries, among, [nearest], byte_budget)
    return nearest.distances, nearest.indices


def _block_size(dimension: int, byte_budget: int) -> int:
    # At the peak there are about six (size, size) float64 matrices (products, distances, what observers derive from
    # them) and two (size, d) ones; the size solves 48 s² + 16 s d = budget.
    size = (math.sqrt(256 * dimension**2 + 192 * byte_budget) - 16 * dimension) / 96
    return max(16, min(int(size), _LARGEST_BLOCK))


def _slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _squared_norms(features: Tensor, size: int) -> Tensor:
    return torch.cat([chunk.double().square().sum(dim=1) for chunk in torch.split(features, size)])


def _squared_distances(products: Tensor, left_norms: Tensor, right_norms: Tensor) -> Tensor:
    squared = torch.add(left_norms[:, None], products, alpha=-2).add_(right_norms)
    # Compared with the row's norm alone: a near pair has near norms, and a far outlier in `right` must not hide it.
    return squared.masked_fill_(squared < _NOISE * left_norms[:, None], 0.0)
