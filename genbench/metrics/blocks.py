"""A block of pairs: the interface that a sweep's observers use, and the implementation with float64 products."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = [
    "LARGEST_EXACT_BLOCK",
    "NOISE",
    "Block",
    "ExactBlock",
    "Memory",
    "block_size",
    "least",
    "slices",
    "squared_norms",
]

# A matrix product is no faster on larger blocks, and more blocks let a symmetric sweep skip more.
_LARGEST_BLOCK = 1024

# Float64 products are no slower on smaller blocks either, and what observers derive from these stays in the caches.
LARGEST_EXACT_BLOCK = 512

_STRIP = 128  # rows
_COPIED = 0.8  # share of a block's rows from which selecting in all of them is faster than copying these

# Relative to a squared norm; a squared distance below it is rounding noise of the matrix product: the points coincide.
NOISE = 2e-13


class Block(ABC):
    """All pairs of `left[rows]` with `right[columns]`. Observers may read it, but must not change or keep any part.

    Attributes:
        same: whether both sides are the same rows of one set, so that the diagonal pairs each point with itself.
        mirrored: whether the transposed block belongs to the sweep too, and is not shown separately.
    """

    rows: slice
    columns: slice
    same: bool
    mirrored: bool

    def strips(self) -> Iterator[slice]:
        """The block's rows, from 0, in parts that stay in the processor's caches from one operation to the next."""
        return slices(self.rows.stop - self.rows.start, _STRIP)

    @abstractmethod
    def products_of(self, strip: slice) -> Tensor:
        """(rows of the strip, columns) float64 inner products."""

    @abstractmethod
    def squared_of(self, strip: slice) -> Tensor:
        """(rows of the strip, columns) float64 squared Euclidean distances."""


@dataclass(frozen=True)
class ExactBlock(Block):
    """A block with float64 products; its squared distances are exact except for float64 rounding.

    Args:
        find_squared: computes the squared distances, on first use.
    """

    rows: slice
    columns: slice
    products: Tensor
    find_squared: Callable[[], Tensor]
    same: bool
    mirrored: bool = False

    @cached_property
    def squared(self) -> Tensor:
        """(rows, columns) float64 squared Euclidean distances."""
        return self.find_squared()

    @cached_property
    def row_minima(self) -> Tensor:
        """(rows,) float64, each row's least squared distance, which usually suffices to skip the row."""
        return self.squared.amin(dim=1)

    @cached_property
    def column_minima(self) -> Tensor:
        """(columns,) the same for each column."""
        return self.squared.amin(dim=0)

    def views(self) -> tuple[ExactBlock, ...]:
        """The block, and its transpose if the sweep does not show it: together each pair once."""
        return (self, self.transposed()) if self.mirrored else (self,)

    def transposed(self) -> ExactBlock:
        """The same pairs with left and right exchanged."""
        return self._transposed

    @cached_property
    def _transposed(self) -> ExactBlock:
        block = ExactBlock(self.columns, self.rows, self.products.T, lambda: self.squared.T, self.same)
        for name, other in (("row_minima", "column_minima"), ("column_minima", "row_minima")):
            if other in self.__dict__:  # already computed
                block.__dict__[name] = self.__dict__[other]
        return block

    def products_of(self, strip: slice) -> Tensor:
        return self.products[strip]

    def squared_of(self, strip: slice) -> Tensor:
        return self.squared[strip]

    def nearest(self, rows: Tensor, k: int, *, exclude_self: bool) -> tuple[Tensor, Tensor]:
        """Return (chosen rows, at most k) float64 squared distances to the nearest, and the columns they are at."""
        if len(rows) > _COPIED * len(self.squared) and not exclude_self:
            values, columns = least(self.squared.contiguous(), k)
            return values[rows], columns[rows]
        squared = self.squared[rows]
        if exclude_self:
            squared[torch.arange(len(rows), device=rows.device), rows] = math.inf
        return least(squared, k)


class Memory:
    """Both sides of a block in float64, its products and its distances.

    One for all blocks of a sweep: allocating fresh matrices takes longer than filling them.
    """

    def __init__(self, size: int, like: Tensor) -> None:
        self._sides = [like.new_empty(size, like.shape[1], dtype=torch.float64) for _ in range(2)]
        self._found = [like.new_empty(size * size, dtype=torch.float64) for _ in range(2)]

    def doubled(self, features: Tensor, side: int) -> Tensor:
        return self._sides[side][: len(features)].copy_(features)

    def found(
        self, left: Tensor, right: Tensor, left_norms: Tensor, right_norms: Tensor
    ) -> tuple[Tensor, Callable[[], Tensor]]:
        """Return the products of two sides, and a function that computes the squared distances."""
        products, squared = (each[: len(left) * len(right)].view(len(left), len(right)) for each in self._found)
        torch.mm(left, right.T, out=products)
        return products, lambda: _squared_distances(products, left_norms, right_norms, out=squared)


def least(numbers: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return (rows, at most k) the least of each row, ascending, and their columns."""
    found = (
        numbers.min(dim=1, keepdim=True)  # a third of the time
        if k == 1
        else numbers.topk(min(k, numbers.shape[1]), dim=1, largest=False)
    )
    return found.values, found.indices


def block_size(dimension: int, byte_budget: int) -> int:
    # Peak memory is about six (size, size) float64 matrices (products, distances, what observers derive from them) and
    # two (size, d) ones; the size solves 48 s² + 16 s d = budget.
    size = (math.sqrt(256 * dimension**2 + 192 * byte_budget) - 16 * dimension) / 96
    return max(16, min(int(size), _LARGEST_BLOCK))


def slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def squared_norms(features: Tensor, size: int) -> Tensor:
    norms = features.new_empty(len(features), dtype=torch.float64)  # one tensor, for the reason in `restored_images`
    for found, chunk in zip(norms.split(size), features.split(size), strict=True):
        torch.sum(chunk.double().square(), dim=1, out=found)
    return norms


def _squared_distances(products: Tensor, left_norms: Tensor, right_norms: Tensor, out: Tensor) -> Tensor:
    torch.add(left_norms[:, None], products, alpha=-2, out=out).add_(right_norms)
    # Compared with the row's norm only: a near pair has similar norms, and a far outlier in `right` must not hide it.
    # With few rows, the nearest is so near that every distance has to be examined.
    noise = NOISE * left_norms
    near = (out.amin(dim=1) < noise).nonzero()[:, 0]
    if len(near):
        rows = out[near]
        out[near] = rows.masked_fill_(rows < noise[near, None], 0.0)
    return out
