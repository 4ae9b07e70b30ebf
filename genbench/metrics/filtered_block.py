"""A block of a sweep with float32 products: intervals for its squared distances, and a search for the near ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.metrics.blocks import Block, ExactBlock, least

__all__ = ["FilteredBlock", "Side"]

_ABOVE = 1 + 2.0**-22  # more than rounding to float32 can lower a number
_GROUP = 16  # at most so many numbers, of which only the least is compared at first
_GROUPS_PER_NEIGHBOUR = 4  # from which on merging groups costs less than it saves in selecting the least
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
