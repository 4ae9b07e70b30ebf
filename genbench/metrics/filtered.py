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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.metrics.blocks import NOISE, Block, ExactBlock, Memory, least, slices

__all__ = ["Filter", "FilteredBlock", "Side", "squared_distances"]

_UNIT = 2.0**-24  # the relative error of one rounding to float32
_CENTRED_ON = 256  # rows of each side
_LARGEST_DIMENSION = 2**20  # beyond it, the bound says little
_RANGE = (2.0**-60, 2.0**120)  # of the largest squared norm, so that products do not overflow
_UNDERFLOW = 2.0**-120  # per feature, of a product

_ABOVE = 1 + 2.0**-22  # more than rounding to float32 can lower a number
_GROUP = 16  # at most so many numbers, of which only the least is compared at first
_GROUPS_PER_NEIGHBOUR = 4  # from which on merging groups costs less than it saves in selecting the least
_VALUES_AT_ONCE = 2**17  # in float64; few enough for the cache
_MOST_NEAR = 1 / 64  # share of a block's pairs that costs as much one by one as the whole block as a product


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
    """A block with float32 products: the squared distance of a pair is at least `lower`, and at most `2 slack` more.

    Args:
        exact: computes the same block with float64 products.
    """

    rows: slice
    columns: slice
    products: Tensor
    lower: Tensor
    left: Side
    right: Side
    exact: Callable[[], ExactBlock]
    same: bool
    mirrored: bool

    @cached_property
    def row_minima(self) -> Tensor:
        """(rows, w) float32, the least `lower` of w groups of columns, group g being every w-th column from g on."""
        return _minima(self.lower, 1)

    @cached_property
    def column_minima(self) -> Tensor:
        """(columns, w) the same for each column, of groups of rows."""
        return _minima(self.lower, 0).T

    def row_upper(self, k: int) -> Tensor:
        """(rows, at most k) float64, each at least the squared distance to another column of the row."""
        return _least_upper(self.row_minima, self.right.slack[self.columns], k) + 2 * self.left.slack[self.rows, None]

    def column_upper(self, k: int) -> Tensor:
        """(columns, at most k) the same for each column."""
        return (
            _least_upper(self.column_minima, self.left.slack[self.rows], k) + 2 * self.right.slack[self.columns, None]
        )

    def products_of(self, strip: slice) -> Tensor:
        shifts = self.left.shifts[self.rows][strip]
        return self.products[strip].double().add_(shifts[:, None]).add_(self.right.shifts[self.columns])

    def squared_of(self, strip: slice) -> Tensor:
        norms = self.left.centred[self.rows][strip]
        squared = self.products[strip].double().mul_(-2).add_(norms[:, None]).add_(self.right.centred[self.columns])
        return squared.clamp_(min=0)

    def near(self, row_limits: Tensor | None, column_limits: Tensor | None) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return the pairs that may be within the limit of their row or of their column, unless they are many.

        Args:
            row_limits: (rows,) float64 squared distances; None where no pair matters to its row.
            column_limits: (columns,) the same.

        Returns:
            (n,) int64 rows and columns, from 0, and float32 `lower`; None where so many pairs cost more one by one
            than all pairs of the block in a product.
        """
        most = round(self.lower.numel() * _MOST_NEAR)
        parts = []
        if row_limits is not None:
            row_limits = _rounded_up(row_limits)
            found = _below(self.lower, self.row_minima, row_limits, most)
            if found is None:
                return None
            parts.append(found)
        if column_limits is not None:
            found = _below(self.lower.T, self.column_minima, _rounded_up(column_limits), most)
            if found is None:
                return None
            columns, rows, lower = found
            new = slice(None) if row_limits is None else lower > row_limits[rows]
            parts.append((rows[new], columns[new], lower[new]))
        if sum(len(rows) for rows, *_ in parts) > most:
            return None
        rows, columns, lower = (torch.cat(each) for each in zip(*parts, strict=True))
        return rows, columns, lower


def _minima(lower: Tensor, dim: int) -> Tensor:
    """Return the least of each group along a dimension; the first groups may have one member more than the last."""
    count = lower.shape[dim]
    width = min(count, 8 * -(-count // (8 * _GROUP)))  # even, so that groups can be merged
    whole = count // width * width
    minima: Tensor = lower.narrow(dim, 0, whole).unflatten(dim, (-1, width)).amin(dim=dim)
    if rest := count - whole:
        first = minima.narrow(dim, 0, rest)
        torch.minimum(first, lower.narrow(dim, whole, rest), out=first)
    return minima


def _least_upper(minima: Tensor, slack: Tensor, k: int) -> Tensor:
    """Return (rows, at most k) float64 the least upper ends of (rows, w) groups, each of its members' largest slack."""
    width = minima.shape[1]
    upper = minima + 2 * F.pad(slack, (0, -len(slack) % width)).view(-1, width).amax(dim=0)
    while width % 2 == 0 and width >= _GROUPS_PER_NEIGHBOUR * k:
        width //= 2
        upper = upper[:, :width].minimum(upper[:, width:])
    return least(upper, k)[0]


def _below(lower: Tensor, minima: Tensor, limits: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return the rows, columns and numbers of (rows, columns) `lower` that do not exceed their row's limit.

    None where these are more than `most`.
    """
    rows, groups = (minima <= limits[:, None]).nonzero(as_tuple=True)
    if len(rows) > most:
        return None
    count = lower.shape[1]
    columns = groups[:, None] + torch.arange(0, count, minima.shape[1], device=lower.device)
    below_row, below_column = lower.stride()  # from a flat index, in a tenth of the time of one by rows and columns
    places = rows[:, None] * below_row + columns.clamp(max=count - 1) * below_column
    values = lower.as_strided((lower.numel(),), (1,)).take(places)
    of, place = ((values <= limits[rows, None]) & (columns < count)).nonzero(as_tuple=True)
    return rows[of], columns[of, place], values[of, place]


def _rounded_up(limits: Tensor) -> Tensor:
    return (limits * _ABOVE).float()  # a float32 comparison is faster


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
    """Products without TF32 or bfloat16, whatever a training loop has set, which the bound does not cover."""
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
