"""All pairs of two sets of features, in blocks that fit a byte budget: the basis of every neighbour-based metric.

One sweep computes each block of inner products once and passes it to any number of observers, so that a suite of
metrics (nearest neighbours, balls, kernel sums) shares its products. Where a sweep sums nothing, and in large ones,
these are float32, and float64 decides what they leave open about neighbours; otherwise they are float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from genbench.metrics.blocks import (
    LARGEST_EXACT_BLOCK,
    Block,
    ExactBlock,
    Memory,
    block_size,
    least,
    slices,
    squared_norms,
)
from genbench.metrics.features import check_features
from genbench.metrics.filtered import Filter
from genbench.metrics.filtered_block import FilteredBlock
from genbench.metrics.near import Near, NearObserver, NearSearch

__all__ = ["BYTE_BUDGET", "FILTERED_FROM", "Observer", "Nearest", "is_filtered", "nearest_neighbours", "sweep", "TIE"]

BYTE_BUDGET = 2**29

# Two squared distances whose relative difference is smaller than this count as equal. A copy of a training image is
# exactly as far from the others as the original, but the two are computed in different blocks and differ in their last
# bits.
TIE = 1e-9

# Multiplications of a sweep, rows × rows × features (8,192 × 8,192 × 2,048): from here on the products that it sums are
# float32. Below, a sweep takes a few seconds, and its sums are float64 to the last bit.
FILTERED_FROM = 2**37


class Observer(Protocol):
    """Receives every block of a sweep: with the transposes of mirrored blocks, each pair exactly once.

    One that needs only near pairs is a `NearObserver`.
    """

    def observe(self, block: Block) -> None: ...


def is_filtered(left: int, right: int, dimension: int) -> bool:
    """Whether a sweep over so many rows and features sums float32 products."""
    return left * right * dimension >= FILTERED_FROM


def sweep(
    left: Tensor,
    right: Tensor,
    observers: Sequence[Observer | NearObserver],
    byte_budget: int = BYTE_BUDGET,
    *,
    filtered: bool | None = None,
) -> None:
    """Pass every pair of a row of `left` with a row of `right` to the observers, in blocks.

    `|x − y|² = |x|² + |y|² − 2 x·y`. Where the products are float32, pairs that are near enough to matter to an
    observer are decided in float64. With `left is right` each product is computed once and stands for both orders.

    Args:
        left: (N, d) floating point.
        right: (M, d) floating point.
        observers: receive the blocks.
        byte_budget: memory limit for the blocks, in addition to the features; 50,000 × 50,000 at 2048-d needs no more
            than any other size.
        filtered: whether products are float32 where they can be; by default, where nothing is summed, and from
            `FILTERED_FROM` on.

    Raises:
        ValueError: features that are not finite, not (N, d), or differ in dimension.
    """
    check_features(left, "left features")
    check_features(right, "right features", dimension=left.shape[1])
    if not (len(left) and len(right)):
        return
    near = [observer for observer in observers if isinstance(observer, NearObserver)]
    sums = [observer for observer in observers if not isinstance(observer, NearObserver)]
    if filtered is None:
        filtered = not sums or is_filtered(len(left), len(right), left.shape[1])
    if filtered:
        # A third of the memory is for products in float32, and two thirds for the blocks that need float64 ones.
        found = Filter(left, right, block_size(left.shape[1], byte_budget * 2 // 3))
        if found.usable:
            _sweep_filtered(found, near, sums, byte_budget)
            return
    for block in _exact_blocks(left, right, byte_budget):
        for every in observers:
            every.observe(block)


def _sweep_filtered(found: Filter, near: Sequence[NearObserver], sums: Sequence[Observer], byte_budget: int) -> None:
    search = NearSearch(near, found.left, found.right, byte_budget)
    for block in found.blocks():
        for observer in sums:
            observer.observe(block)
        if near:
            search.observe(block)
    search.settle()


def _exact_blocks(left: Tensor, right: Tensor, byte_budget: int) -> Iterator[ExactBlock]:
    symmetric = left is right
    size = min(block_size(left.shape[1], byte_budget), LARGEST_EXACT_BLOCK)
    left_norms = squared_norms(left, size)
    right_norms = left_norms if symmetric else squared_norms(right, size)
    memory = Memory(size, left)
    for rows in slices(len(left), size):
        block_left = memory.doubled(left[rows], 0)
        for columns in slices(len(right), size):
            if symmetric and columns.start < rows.start:
                continue
            block_right = memory.doubled(right[columns], 1)
            found = memory.found(block_left, block_right, left_norms[rows], right_norms[columns])
            same = symmetric and rows == columns
            yield ExactBlock(rows, columns, *found, same, mirrored=symmetric and not same)


class Nearest(NearObserver):
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
        self._upper = self.squared.clone()  # of which each is at least the squared distance to another point

    @property
    def distances(self) -> Tensor:
        """(N, k) float64 Euclidean distances, ascending."""
        return self.squared.sqrt()

    @property
    def row_limits(self) -> Tensor:
        return self._upper[:, -1].minimum(self.squared[:, -1])

    def narrow(self, block: FilteredBlock) -> None:
        k = self.squared.shape[1]
        if block.same and self._exclude_self:
            self._lower(block.rows, block.row_upper(k + 1)[:, 1:])  # the least may be a point's with itself
        else:
            self._lower(block.rows, block.row_upper(k))
        if block.mirrored:
            self._lower(block.columns, block.column_upper(k))

    def _lower(self, rows: slice, upper: Tensor) -> None:
        self._upper[rows] = least(torch.cat([self._upper[rows], upper], dim=1), self._upper.shape[1])[0]

    def observe(self, block: ExactBlock) -> None:
        for view in block.views():
            # After a few blocks, most rows find no nearer neighbour in the next one, and selecting the k nearest is
            # slow.
            rows = (view.row_minima < self.squared[view.rows, -1]).nonzero()[:, 0]
            if not len(rows):
                continue
            exclude_self = view.same and self._exclude_self
            squared, columns = view.nearest(rows, self.squared.shape[1], exclude_self=exclude_self)
            self._keep(rows + view.rows.start, squared, columns + view.columns.start)

    def observe_near(self, near: Near) -> None:
        wanted = near.squared <= self.row_limits[near.rows]
        if self._exclude_self:
            wanted &= near.rows != near.columns
        if wanted.any():
            found = near.rows[wanted], near.columns[wanted], near.squared[wanted]
            self._keep(*_nearest(*found, self.squared.shape[1]))

    def _keep(self, rows: Tensor, squared: Tensor, indices: Tensor) -> None:
        k = self.squared.shape[1]
        squared_all = torch.cat([self.squared[rows], squared], dim=1)
        indices_all = torch.cat([self.indices[rows], indices], dim=1)
        best = squared_all.topk(k, dim=1, largest=False, sorted=True)
        self.squared[rows] = best.values
        self.indices[rows] = indices_all.gather(1, best.indices).masked_fill_(best.values.isinf(), -1)


def _nearest(rows: Tensor, columns: Tensor, squared: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return each row once, with its k smallest squared distances and their columns."""
    order = squared.argsort(stable=True)
    order = order[rows[order].argsort(stable=True)]
    each, counts = rows[order].unique_consecutive(return_counts=True)
    which = torch.arange(len(each), device=rows.device).repeat_interleave(counts)
    rank = torch.arange(len(order), device=rows.device) - (counts.cumsum(dim=0) - counts)[which]
    which, order, rank = (part[rank < k] for part in (which, order, rank))
    nearest = squared.new_full((len(each), k), math.inf)
    nearest[which, rank] = squared[order]
    places = rows.new_full((len(each), k), -1)
    places[which, rank] = columns[order]
    return each, nearest, places


def nearest_neighbours(
    queries: Tensor, among: Tensor, k: int = 1, byte_budget: int = BYTE_BUDGET, *, filtered: bool | None = None
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
    sweep(queries, among, [nearest], byte_budget, filtered=filtered)
    return nearest.distances, nearest.indices
