"""Sweeps with products in float32: an interval for every squared distance, and float64 for those that matter.

As in exact geometric predicates, a filter with a proven error bound comes first. With u = 2⁻²⁴, n_i = |x_i − c|² and
p_ij the float32 product of x_i − c and y_j − c, any order of summation, with fused operations or without, gives
`|p_ij − (x_i − c)·(y_j − c)| ≤ γ |x_i − c||y_j − c| ≤ γ (n_i + n_j)/2`, `γ = (d + 2)u/(1 − (d + 2)u)` (Higham 2002,
"Accuracy and stability of numerical algorithms", section 3.1, https://doi.org/10.1137/1.9780898718027; the 2 are the
rounding of the centred features). The few roundings that follow are covered by a larger γ, `_bound`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from genbench.metrics.blocks import NOISE, ExactBlock, Memory, slices
from genbench.metrics.filtered_block import FilteredBlock, Side

__all__ = ["Filter", "squared_distances"]

_UNIT = 2.0**-24  # the relative error of one rounding to float32
_CENTRED_ON = 256  # rows of each side
_LARGEST_DIMENSION = 2**20  # beyond it, the bound says little
_RANGE = (2.0**-60, 2.0**120)  # of the largest squared norm, so that products do not overflow
_UNDERFLOW = 2.0**-120  # per feature, of a product
_VALUES_AT_ONCE = 2**17  # in float64; few enough for the cache


class Filter:
    """The blocks of a sweep with float32 products.

    Args:
        left: (N, d).
        right: (M, d).
        size: of a block.
    """

    def __init__(self, left: Tensor, right: Tensor, size: int) -> None:
        self._size = size
        self._symmetric = left is right
        self._centre = _centre(left, right)
        self.left = self._side(left)
        self.right = self.left if self._symmetric else self._side(right)
        self._sides = [left.new_empty(size, left.shape[1], dtype=torch.float32) for _ in range(2)]
        self._found = [left.new_empty(size * size, dtype=torch.float32) for _ in range(2)]

    @property
    def usable(self) -> bool:
        """Whether the bound holds; not for features so large or small that float32 does not represent products."""
        if self.left.features.shape[1] > _LARGEST_DIMENSION:
            return False
        largest = max(float(side.centred.max()) for side in (self.left, self.right))
        return _RANGE[0] <= largest <= _RANGE[1]

    @cached_property
    def _memory(self) -> Memory:
        return Memory(self._size, self.left.features)

    def blocks(self) -> Iterator[FilteredBlock]:
        """Each pair once, counting a mirrored block's twice."""
        for rows in slices(len(self.left.features), self._size):
            block_left = self._shifted(self.left, rows, 0)
            for columns in slices(len(self.right.features), self._size):
                if not self._symmetric or columns.start >= rows.start:
                    yield self._block(rows, columns, block_left, self._shifted(self.right, columns, 1))

    def _block(self, rows: slice, columns: slice, block_left: Tensor, block_right: Tensor) -> FilteredBlock:
        shape = len(block_left), len(block_right)
        products, lower = (each[: math.prod(shape)].view(shape) for each in self._found)
        with _full_float32():
            torch.mm(block_left, block_right.T, out=products)
        left, right = self.left, self.right
        torch.add(left.floor[rows, None], products, alpha=-2, out=lower).add_(right.floor[columns])
        same = self._symmetric and rows == columns
        mirrored = self._symmetric and not same

        def exact() -> ExactBlock:
            memory = self._memory
            doubled = memory.doubled(left.features[rows], 0), memory.doubled(right.features[columns], 1)
            found = memory.found(*doubled, left.norms[rows], right.norms[columns])
            return ExactBlock(rows, columns, *found, same, mirrored)

        return FilteredBlock(rows, columns, products, lower, left, right, exact, same, mirrored)

    def _shifted(self, side: Side, rows: slice, place: int) -> Tensor:
        found = self._sides[place][: rows.stop - rows.start]
        return torch.sub(side.features[rows], self._centre, out=found)

    def _side(self, features: Tensor) -> Side:
        centre, norms, centred, shifts = self._centre.double(), [], [], []
        for chunk in features.split(_rows_at_once(features)):
            double = chunk.double()
            norms.append(double.square().sum(dim=1))
            shifts.append(double @ centre - centre.square().sum() / 2)
            centred.append((double - centre).square_().sum(dim=1))
        of_rows, of_centred = torch.cat(norms), torch.cat(centred)
        slack = _slack(of_rows, of_centred, features.shape[1])
        return Side(features, of_rows, of_centred, torch.cat(shifts), slack)


def squared_distances(left: Side, right: Side, rows: Tensor, columns: Tensor) -> Tensor:
    """Return (n,) float64 for n pairs, each from the difference of its features."""
    size = _rows_at_once(left.features)
    parts = zip(rows.split(size), columns.split(size), strict=True)
    squared = torch.cat(
        [_differences(left.features.index_select(0, i), right.features.index_select(0, j)) for i, j in parts]
    )
    return squared.masked_fill_(squared < NOISE * left.norms[rows], 0.0)


def _rows_at_once(features: Tensor) -> int:
    return max(1, _VALUES_AT_ONCE // features.shape[1])


def _differences(left: Tensor, right: Tensor) -> Tensor:
    return left.double().sub_(right).square_().sum(dim=1)


def _centre(left: Tensor, right: Tensor) -> Tensor:
    """Return (d,) float32, the median of some rows, which no outlier moves far."""
    sides = [side[:: max(1, len(side) // _CENTRED_ON)][:_CENTRED_ON] for side in (left, right)]
    return torch.cat(sides).median(dim=0).values.float()


def _slack(norms: Tensor, centred: Tensor, dimension: int) -> Tensor:
    """Return (N,) float64: the error of a squared distance is at most the sum of both sides'.

    Its parts are the bound on the products and on the roundings after them, the distances that count as noise, and
    what underflows.
    """
    underflow = dimension * _UNDERFLOW * (1 + centred.max().sqrt())
    return _bound(dimension) * centred + NOISE * norms + underflow


def _bound(dimension: int) -> float:
    """Return γ for d + 16 roundings.

    >>> round(_bound(2048) * 1e6, 1)
    123.0
    """
    roundings = (dimension + 16) * _UNIT
    return roundings / (1 - roundings)


@contextlib.contextmanager
def _full_float32() -> Iterator[None]:
    """Products without TF32 or bfloat16, whatever a training loop has set, which the bound does not cover.

    Apart from `genbench.machine.precision`, because metrics import no other part of genbench.
    """
    backends: Any = torch.backends
    if hasattr(backends, "fp32_precision"):  # from torch 2.9 on: once used, the older functions raise
        products = backends.mkldnn.matmul, backends.cuda.matmul
        before = [place.fp32_precision for place in products]
        for place in products:
            place.fp32_precision = "ieee"
        try:
            yield
        finally:
            for place, precision in zip(products, before, strict=True):
                place.fp32_precision = precision
    else:
        older = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(older)
