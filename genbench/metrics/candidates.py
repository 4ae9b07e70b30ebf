"""Candidate pairs for nearest neighbours, according to float32 products, until float64 decides among them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genbench.metrics.filtered import FilteredBlock, Side, is_most, squared_distances

__all__ = ["Candidates"]

_MOST = 2**20  # pairs that wait at once


class Candidates:
    """The candidates for the `k` nearest points of each of `count` rows.

    Each waits until a sweep has shown all blocks, because by then most are known to be too far. Where float32 decides
    so little that most of a block are candidates, these do not wait.

    Attributes:
        limits: (count,) float64, which the squared distance to the k-th nearest does not exceed.
    """

    def __init__(self, count: int, k: int, device: torch.device) -> None:
        self._upper = torch.full((count, k), math.inf, dtype=torch.float64, device=device)
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []  # rows, columns, lower ends
        self._found: list[tuple[Tensor, Tensor, Tensor]] = []  # rows, columns, squared distances
        self._sides: tuple[Side, Side] | None = None

    @property
    def limits(self) -> Tensor:
        return self._upper[:, -1]

    def collect(self, block: FilteredBlock, rows: Tensor, limits: Tensor, *, exclude_self: bool) -> bool:
        """Add the candidates of some of a block's rows, and return whether it is time to settle.

        Args:
            block: the block.
            rows: its rows that may have a nearer neighbour there, from 0.
            limits: (chosen rows,) float64 beyond which no pair matters.
            exclude_self: whether the pairs of the diagonal do not count.
        """
        k = self._upper.shape[1]
        upper, left, right, lower = block.candidates(rows, k, limits, exclude_self=exclude_self)
        places = rows + block.rows.start
        self._upper[places] = torch.cat([self._upper[places], upper], dim=1).topk(k, dim=1, largest=False).values
        where = left + block.rows.start, right + block.columns.start
        if many := is_most(len(left), block.rows, block.columns):
            self._found.append((*where, block.exactly(left, right)))
        else:
            self._waiting.append((*where, lower))
        self._sides = block.left, block.right
        return many or sum(len(part) for part, *_ in self._waiting) > _MOST

    def settled(self, limits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return rows, and (rows, k) squared distances of their nearest candidates and the columns they are at.

        Args:
            limits: (count,) float64 beyond which no pair matters.
        """
        found = self._found
        if self._waiting:
            rows, columns, lower = _joined(self._waiting)
            near = lower <= limits[rows]
            rows, columns = rows[near], columns[near]
            assert self._sides is not None
            found.append((rows, columns, squared_distances(*self._sides, rows, columns)))
        self._waiting, self._found = [], []
        nothing = self._upper.new_empty(0)
        return _nearest(*_joined(found), self._upper.shape[1]) if found else (nothing, nothing, nothing)


def _joined(parts: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    first, second, third = (torch.cat(each) for each in zip(*parts, strict=True))
    return first, second, third


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
