"""Large sweeps: products in float32, and float64 only for the pairs that float32 cannot decide.

As in exact geometric predicates, a filter with a proven error bound comes first. With u = 2⁻²⁴, n_i = |x_i − c|² and
p_ij the float32 product of x_i − c and y_j − c, any order of summation, with fused operations or without, gives
`|p_ij − (x_i − c)·(y_j − c)| ≤ γ |x_i − c||y_j − c| ≤ γ (n_i + n_j)/2`, `γ = (d + 2)u/(1 − (d + 2)u)` (Higham 2002,
"Accuracy and stability of numerical algorithms", section 3.1, https://doi.org/10.1137/1.9780898718027; the 2 are the
rounding of the centred features). The few roundings that follow are covered by a larger γ, `_bound`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from genbench.metrics.blocks import NOISE, Block, Memory, slices

__all__ = ["Filter", "FilteredBlock", "Side", "is_most", "squared_distances"]

_UNIT = 2.0**-24  # the relative error of one rounding to float32
_CENTRED_ON = 1024  # rows of each side
_LARGEST_DIMENSION = 2**20  # beyond it, the bound says little
_RANGE = (2.0**-60, 2.0**120)  # of the largest squared norm, so that products do not overflow
_UNDERFLOW = 2.0**-120  # per feature, of a product

_ABOVE = 1 + 2.0**-22  # more than rounding to float32 can lower a number
_SPARE = 4  # neighbours looked at in addition to k
_ROWS_AT_ONCE = 64  # in float64; few enough for the cache
_WHOLE_SHARE = 64  # one pair in so many costs as much one by one as all of them in a product


@dataclass(frozen=True)
class Side:
    """What the filter knows about each row of one side; all but the features (N,) float64.

    Args:
        features: as given.
        norms: squared.
        centred: squared norms of the features minus the centre.
        shifts: `x·c − |c|²/2`, of which both sides' make a product of centred features one of features.
        slack: half of the width of the interval that contains a squared distance is the sum of both sides'.
    """

    features: Tensor
    norms: Tensor
    centred: Tensor
    shifts: Tensor
    slack: Tensor

    @cached_property
    def floor(self) -> Tensor:
        """(N,) float32, what a side contributes to the lower end of that interval."""
        return (self.centred - self.slack).float()


@dataclass(frozen=True)
class FilteredBlock(Block):
    """A block with float32 products: the squared distance of a pair is at least `lower`, and at most `2 slack` more."""

    rows: slice
    columns: slice
    products: Tensor
    lower: Tensor
    left: Side
    right: Side
    exactly: Callable[[Tensor, Tensor], Tensor]
    same: bool
    mirrored: bool
    few = 0.5

    @cached_property
    def row_minima(self) -> Tensor:
        return self.lower.amin(dim=1)

    @cached_property
    def column_minima(self) -> Tensor:
        return self.lower.amin(dim=0)

    def transposed(self) -> FilteredBlock:
        return FilteredBlock(
            rows=self.columns,
            columns=self.rows,
            products=self.products.T,
            lower=self.lower.T,
            left=self.right,
            right=self.left,
            exactly=lambda rows, columns: self.exactly(columns, rows),
            same=self.same,
            mirrored=False,
        )

    def products_of(self, strip: slice) -> Tensor:
        shifts = self.left.shifts[self.rows][strip]
        return self.products[strip].double().add_(shifts[:, None]).add_(self.right.shifts[self.columns])

    def squared_of(self, strip: slice) -> Tensor:
        norms = self.left.centred[self.rows][strip]
        squared = self.products[strip].double().mul_(-2).add_(norms[:, None]).add_(self.right.centred[self.columns])
        return squared.clamp_(min=0)

    def within(self, limits: Tensor, columns: Tensor | slice, *, surface: bool) -> Tensor:
        compare = torch.le if surface else torch.lt
        found = self._chosen(columns) <= (limits * _ABOVE).float()  # a float32 comparison is faster
        rows, chosen = found.nonzero(as_tuple=True)
        places = chosen if isinstance(columns, slice) else columns[chosen]
        doubtful = ~compare(self._upper(rows, places), limits[chosen])
        rows, chosen, places = rows[doubtful], chosen[doubtful], places[doubtful]
        found[rows, chosen] = compare(self.exactly(rows, places), limits[chosen])
        return found

    def _chosen(self, columns: Tensor | slice) -> Tensor:
        if isinstance(columns, slice):
            return self.lower[:, columns]
        if self.lower.is_contiguous():
            return self.lower.index_select(1, columns)
        return self.lower.T.index_select(0, columns).T  # whole rows of what was transposed

    def candidates(
        self, rows: Tensor, k: int, limits: Tensor, *, exclude_self: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the pairs that may be among the k nearest of their rows and below the row's limit.

        Args:
            rows: the chosen ones, from 0.
            k: how many.
            limits: (chosen rows,) float64.
            exclude_self: whether the pairs of the diagonal do not count.

        Returns:
            (chosen rows, at most k) float64, each at least the squared distance of another pair of the row; the pairs'
            rows and columns, from 0; and float32 numbers that their squared distances are not below.
        """
        lower = self.lower[rows]
        if exclude_self:
            lower[torch.arange(len(rows), device=rows.device), rows] = math.inf
        width = lower.shape[1]
        least, columns = lower.topk(min(k + _SPARE, width), dim=1, largest=False)
        upper = self._upper(rows[:, None], columns[:, :k]).masked_fill_(least[:, :k].isinf(), math.inf)
        if k <= width:  # any k pairs bound the distance to the k-th nearest
            limits = limits.minimum(upper.amax(dim=1))
        crowded = (least[:, -1] <= limits) & (columns.shape[1] < width)  # more of its pairs may be among the nearest
        wanted = ((least <= limits[:, None]) & least.isfinite() & ~crowded[:, None]).nonzero(as_tuple=True)
        found = [(rows[wanted[0]], columns[wanted], least[wanted])]
        if crowded.any():
            rows, lower, limits = rows[crowded], lower[crowded], limits[crowded]
            wanted = ((lower <= limits[:, None]) & lower.isfinite()).nonzero(as_tuple=True)
            found.append((rows[wanted[0]], wanted[1], lower[wanted]))
        left, right, ends = (torch.cat(parts) for parts in zip(*found, strict=True))
        return upper, left, right, ends

    def _upper(self, rows: Tensor, columns: Tensor) -> Tensor:
        slack = self.left.slack[self.rows][rows] + self.right.slack[self.columns][columns]
        return self.lower[rows, columns] + 2 * slack


class Filter:
    """The blocks of a large sweep.

    Args:
        left: (N, d).
        right: (M, d).
        size: of a block.
    """

    def __init__(self, left: Tensor, right: Tensor, size: int) -> None:
        self._size = size
        self._symmetric = left is right
        self._centre = _centre(left, right)
        self._left = self._side(left)
        self._right = self._left if self._symmetric else self._side(right)
        self._sides = [left.new_empty(size, left.shape[1], dtype=torch.float32) for _ in range(2)]
        self._found = [left.new_empty(size * size, dtype=torch.float32) for _ in range(2)]

    @property
    def usable(self) -> bool:
        """Whether the bound holds; not for features so large or small that float32 does not represent products."""
        if self._left.features.shape[1] > _LARGEST_DIMENSION:
            return False
        largest = max(float(side.centred.max()) for side in (self._left, self._right))
        return _RANGE[0] <= largest <= _RANGE[1]

    @cached_property
    def _memory(self) -> Memory:
        return Memory(self._size, self._left.features)

    def blocks(self) -> Iterator[FilteredBlock]:
        """Each pair once, counting a mirrored block's twice."""
        for rows in slices(len(self._left.features), self._size):
            block_left = self._shifted(self._left, rows, 0)
            for columns in slices(len(self._right.features), self._size):
                if not self._symmetric or columns.start >= rows.start:
                    yield self._block(rows, columns, block_left, self._shifted(self._right, columns, 1))

    def _block(self, rows: slice, columns: slice, block_left: Tensor, block_right: Tensor) -> FilteredBlock:
        shape = len(block_left), len(block_right)
        products, lower = (each[: math.prod(shape)].view(shape) for each in self._found)
        with _full_float32():
            torch.mm(block_left, block_right.T, out=products)
        left, right = self._left, self._right
        torch.add(left.floor[rows, None], products, alpha=-2, out=lower).add_(right.floor[columns])
        same = self._symmetric and rows == columns
        exactly = _Exactly(left, right, rows, columns, lambda: self._memory)
        return FilteredBlock(
            rows, columns, products, lower, left, right, exactly, same, mirrored=self._symmetric and not same
        )

    def _shifted(self, side: Side, rows: slice, place: int) -> Tensor:
        found = self._sides[place][: rows.stop - rows.start]
        return torch.sub(side.features[rows], self._centre, out=found)

    def _side(self, features: Tensor) -> Side:
        centre, norms, centred, shifts = self._centre.double(), [], [], []
        for chunk in features.split(_ROWS_AT_ONCE):
            double = chunk.double()
            norms.append(double.square().sum(dim=1))
            shifts.append(double @ centre - centre.square().sum() / 2)
            centred.append((double - centre).square_().sum(dim=1))
        of_rows, of_centred = torch.cat(norms), torch.cat(centred)
        slack = _slack(of_rows, of_centred, features.shape[1])
        return Side(features, of_rows, of_centred, torch.cat(shifts), slack)


class _Exactly:
    """Float64 squared distances of the pairs of a block, from the difference of each or from one product of all.

    Args:
        left: with
        right: the sides, of which the block has
        rows: and
        columns.
        memory: gives that of the product.
    """

    def __init__(self, left: Side, right: Side, rows: slice, columns: slice, memory: Callable[[], Memory]) -> None:
        self._block = left, right, rows, columns
        self._memory = memory
        self._all: Tensor | None = None

    def __call__(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return (n,) float64 for n pairs, rows and columns from 0."""
        left, right, block_rows, block_columns = self._block
        if self._all is None and is_most(len(rows), block_rows, block_columns):
            memory = self._memory()
            doubled = memory.doubled(left.features[block_rows], 0), memory.doubled(right.features[block_columns], 1)
            self._all = memory.found(*doubled, left.norms[block_rows], right.norms[block_columns])[1]
        if self._all is not None:
            return self._all[rows, columns]
        return squared_distances(left, right, rows + block_rows.start, columns + block_columns.start)


def is_most(pairs: int, rows: slice, columns: slice) -> bool:
    """Whether so many pairs of a block cost more one by one than all of them in a product."""
    return pairs * _WHOLE_SHARE > len(range(rows.start, rows.stop)) * len(range(columns.start, columns.stop))


def squared_distances(left: Side, right: Side, rows: Tensor, columns: Tensor) -> Tensor:
    """Return (n,) float64 for n pairs, each from the difference of its features."""
    parts = zip(rows.split(_ROWS_AT_ONCE), columns.split(_ROWS_AT_ONCE), strict=True)
    found = [_differences(left.features.index_select(0, i), right.features.index_select(0, j)) for i, j in parts]
    squared = torch.cat(found) if found else left.norms.new_empty(0)
    return squared.masked_fill_(squared < NOISE * left.norms[rows], 0.0)


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
    """Products without TF32 or bfloat16, whatever a training loop has set, which the bound does not cover."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
