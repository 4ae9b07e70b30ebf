"""All pairs of two sets of features, in blocks that fit a byte budget: the basis of every neighbour-based metric.

One sweep computes each block of inner products once and passes it to any number of observers, so that a suite of
metrics (kernel sums, nearest neighbours, balls) costs one matrix product in total instead of one each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from genbench.metrics.blocks import LARGEST_EXACT_BLOCK, Block, ExactBlock, Memory, block_size, slices, squared_norms
from genbench.metrics.candidates import Candidates
from genbench.metrics.features import check_features
from genbench.metrics.filtered import Filter, FilteredBlock

__all__ = ["BYTE_BUDGET", "FILTERED_FROM", "Observer", "Nearest", "is_filtered", "nearest_neighbours", "sweep", "TIE"]

BYTE_BUDGET = 2**29

# Two squared distances whose relative difference is smaller than this count as equal. A copy of a training image is
# exactly as far from the others as the original, but the two are computed in different blocks and differ in their last
# bits.
TIE = 1e-9

# Multiplications of a sweep, rows × rows × features (8,192 × 8,192 × 2,048): from here on its products are float32.
# Below, a sweep takes a few seconds, and its sums are float64 to the last bit.
FILTERED_FROM = 2**37


class Observer(Protocol):
    """Receives every block of a sweep: with the transposes of mirrored blocks, each pair exactly once."""

    def observe(self, block: Block) -> None: ...


def is_filtered(left: int, right: int, dimension: int) -> bool:
    """Whether a sweep over so many rows and features computes products in float32."""
    return left * right * dimension >= FILTERED_FROM


def sweep(
    left: Tensor,
    right: Tensor,
    observers: Sequence[Observer],
    byte_budget: int = BYTE_BUDGET,
    *,
    filtered: bool | None = None,
) -> None:
    """Pass every pair of a row of `left` with a row of `right` to the observers, in blocks.

    `|x − y|² = |x|² + |y|² − 2 x·y`. In large sweeps the products are float32, and what follows from them is decided in
    float64 where their error could matter: see `filtered`. With `left is right` each product is computed once and
    stands for both orders.

    Args:
        left: (N, d) floating point.
        right: (M, d) floating point.
        observers: receive the blocks.
        byte_budget: memory limit for the blocks, in addition to the features; 50,000 × 50,000 at 2048-d needs no more
            than any other size.
        filtered: whether products are float32 where they can be; by default, in sweeps from `FILTERED_FROM` on.

    Raises:
        ValueError: features that are not finite, not (N, d), or differ in dimension.
    """
    check_features(left, "left features")
    check_features(right, "right features", dimension=left.shape[1])
    if filtered is None:
        filtered = is_filtered(len(left), len(right), left.shape[1])
    for block in _filtered_blocks(left, right, byte_budget) if filtered else _exact_blocks(left, right, byte_budget):
        for observer in observers:
            observer.observe(block)
    for observer in observers:
        if isinstance(observer, Nearest):
            observer.settle()


def _filtered_blocks(left: Tensor, right: Tensor, byte_budget: int) -> Iterator[Block]:
    # A third of the memory is for products in float32, and two thirds for the blocks that need float64 ones.
    found = Filter(left, right, block_size(left.shape[1], byte_budget * 2 // 3))
    return found.blocks() if found.usable else _exact_blocks(left, right, byte_budget)


def _exact_blocks(left: Tensor, right: Tensor, byte_budget: int) -> Iterator[Block]:
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
            products, squared = memory.found(block_left, block_right, left_norms[rows], right_norms[columns])
            same = symmetric and rows == columns
            yield ExactBlock(rows, columns, products, squared, same, mirrored=symmetric and not same)


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
        self._candidates: Candidates | None = None

    @property
    def distances(self) -> Tensor:
        """(N, k) float64 Euclidean distances, ascending."""
        return self.squared.sqrt()

    def observe(self, block: Block) -> None:
        for view in block.views():
            # After a few blocks, most rows find no nearer neighbour in the next one, and selecting the k nearest is
            # slow.
            limits = self._limits(view.rows)
            rows = (view.row_minima < limits).nonzero()[:, 0]
            if not len(rows):
                continue
            exclude_self = view.same and self._exclude_self
            if isinstance(view, ExactBlock):
                squared, columns = view.nearest(rows, self.squared.shape[1], exclude_self=exclude_self)
                self._keep(rows + view.rows.start, squared, columns + view.columns.start)
            elif isinstance(view, FilteredBlock):
                if self._candidates is None:
                    self._candidates = Candidates(len(self.squared), self.squared.shape[1], self.squared.device)
                if self._candidates.collect(view, rows, limits[rows], exclude_self=exclude_self):
                    self.settle()

    def settle(self) -> None:
        """Decide in float64 between the candidates of the blocks so far whose products are float32."""
        if self._candidates is not None:
            found = self._candidates.settled(self._limits(slice(None)))
            if len(found[0]):
                self._keep(*found)

    def _limits(self, rows: slice) -> Tensor:
        exact = self.squared[rows, -1]
        return exact if self._candidates is None else exact.minimum(self._candidates.limits[rows])

    def _keep(self, rows: Tensor, squared: Tensor, indices: Tensor) -> None:
        k = self.squared.shape[1]
        squared_all = torch.cat([self.squared[rows], squared], dim=1)
        indices_all = torch.cat([self.indices[rows], indices], dim=1)
        best = squared_all.topk(k, dim=1, largest=False, sorted=True)
        self.squared[rows] = best.values
        self.indices[rows] = indices_all.gather(1, best.indices).masked_fill_(best.values.isinf(), -1)


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
