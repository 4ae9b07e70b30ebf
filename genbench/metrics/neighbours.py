"""All pairs of two sets of features, in blocks that fit a byte budget: the basis of every neighbour-based metric.

One sweep computes each block of inner products once and passes it to any number of observers, so that a suite of
metrics (kernel sums, nearest neighbours, balls) costs one matrix product in total instead of one each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from genbench.metrics.features import check_features

__all__ = ["BYTE_BUDGET", "Block", "Observer", "Nearest", "nearest_neighbours", "sweep", "TIE"]

BYTE_BUDGET = 2**29

# Two squared distances whose relative difference is smaller than this count as equal. A copy of a training image is
# exactly as far from the others as the original, but the two are computed in different blocks and differ in their last
# bits.
TIE = 1e-9

# A matrix product is no faster on larger blocks, and more blocks let a symmetric sweep skip more.
_LARGEST_BLOCK = 1024

# Relative to a squared norm; a squared distance below it is rounding noise of the matrix product: the points coincide.
_NOISE = 2e-13


@dataclass(frozen=True)
class Block:
    """All pairs of `left[rows]` with `right[columns]`. Observers may read it, but must not change or keep any part.

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

    @cached_property
    def row_minima(self) -> Tensor:
        """(rows,) float64, each row's smallest squared distance: usually enough to skip the rest of the row."""
        return self.squared.amin(dim=1)

    @cached_property
    def column_minima(self) -> Tensor:
        """(columns,) float64, the smallest squared distance of each column."""
        return self.squared.amin(dim=0)

    def transposed(self) -> Block:
        """The same pairs with left and right exchanged."""
        return self._transposed

    @cached_property
    def _transposed(self) -> Block:
        block = Block(self.columns, self.rows, self.products.T, self.squared.T, self.same)
        for name, other in (("row_minima", "column_minima"), ("column_minima", "row_minima")):
            if other in self.__dict__:  # already computed
                block.__dict__[name] = self.__dict__[other]
        return block


class Observer(Protocol):
    """Receives every block of a sweep, each pair exactly once."""

    def observe(self, block: Block) -> None: ...


def sweep(left: Tensor, right: Tensor, observers: Sequence[Observer], byte_budget: int = BYTE_BUDGET) -> None:
    """Pass every pair of a row of `left` with a row of `right` to the observers, in blocks.

    `|x − y|² = |x|² + |y|² − 2 x·y`, in float64. With `left is right` each product is computed once and passed twice,
    the second time transposed.
    the second time transposed.

    Args:
        left: (N, d) floating point.
        right: (M, d) floating point.
        byte_budget: memory limit for the blocks, in addition to the features; 50,000 × 50,000 at 2048-d needs no more
            than any other size.

    Raises:
        ValueError: features that are not finite, not (N, d), or differ in dimension.
    """
    check_features(left, "left features")
    check_features(right, "right features", dimension=left.shape[1])
    symmetric = left is right
    size = _block_size(left.shape[1], byte_budget)
    left_norms = _squared_norms(left, size)
    right_norms = left_norms if symmetric else _squared_norms(right, size)
    # One set of matrices for all blocks: allocating fresh ones takes longer than filling them.
    blocks = _Blocks(size, left)
    for rows in _slices(len(left), size):
        block_left = blocks.doubled(left[rows], 0)
        for columns in _slices(len(right), size):
            if symmetric and columns.start < rows.start:
                continue
            products, squared = blocks.found(block_left, blocks.doubled(right[columns], 1))
            _squared_distances(products, left_norms[rows], right_norms[columns], out=squared)
            block = Block(rows, columns, products, squared, same=symmetric and rows == columns)
            for observer in observers:
                observer.observe(block)
                if symmetric and not block.same:
                    observer.observe(block.transposed())


class _Blocks:
    """The memory of a sweep: both sides of a block in float64, its products and its distances."""

    def __init__(self, size: int, like: Tensor) -> None:
        self._sides = [like.new_empty(size, like.shape[1], dtype=torch.float64) for _ in range(2)]
        self._found = [like.new_empty(size * size, dtype=torch.float64) for _ in range(2)]

    def doubled(self, features: Tensor, side: int) -> Tensor:
        return self._sides[side][: len(features)].copy_(features)

    def found(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return the products, and a buffer for the distances."""
        products, squared = (each[: len(left) * len(right)].view(len(left), len(right)) for each in self._found)
        return torch.mm(left, right.T, out=products), squared


class Nearest:
    """Observer: the `k` nearest points of `right` for each row of `left`.

    Args:
        count: rows of `left`.
        k: how many neighbours to keep; with fewer points on the right, the remaining distances are infinite.
        exclude_self: for a sweep of a set with itself: a point is not its own neighbour.
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
        k = self.squared.shape[1]
        # After a few blocks, most rows find no nearer neighbour in the next one, and selecting the k nearest is slow.
        rows = (block.row_minima < self.squared[block.rows, k - 1]).nonzero()[:, 0]
        if not len(rows):
            return
        squared = block.squared[rows]
        if block.same and self._exclude_self:
            squared[torch.arange(len(rows), device=rows.device), rows] = math.inf
        found = squared.topk(min(k, squared.shape[1]), dim=1, largest=False)
        rows += block.rows.start
        squared_all = torch.cat([self.squared[rows], found.values], dim=1)
        indices_all = torch.cat([self.indices[rows], found.indices + block.columns.start], dim=1)
        best = squared_all.topk(k, dim=1, largest=False, sorted=True)
        self.squared[rows] = best.values
        self.indices[rows] = indices_all.gather(1, best.indices)


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
    # Peak memory is about six (size, size) float64 matrices (products, distances, what observers derive from them) and
    # two (size, d) ones; the size solves 48 s² + 16 s d = budget.
    size = (math.sqrt(256 * dimension**2 + 192 * byte_budget) - 16 * dimension) / 96
    return max(16, min(int(size), _LARGEST_BLOCK))


def _slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _squared_norms(features: Tensor, size: int) -> Tensor:
    return torch.cat([chunk.double().square().sum(dim=1) for chunk in torch.split(features, size)])


def _squared_distances(products: Tensor, left_norms: Tensor, right_norms: Tensor, out: Tensor) -> None:
    torch.add(left_norms[:, None], products, alpha=-2, out=out).add_(right_norms)
    # Compared with the row's norm only: a near pair has similar norms, and a far outlier in `right` must not hide it.
    # With few rows, the nearest is so near that every distance has to be examined.
    noise = _NOISE * left_norms
    near = (out.amin(dim=1) < noise).nonzero()[:, 0]
    if len(near):
        rows = out[near]
        out[near] = rows.masked_fill_(rows < noise[near, None], 0.0)
