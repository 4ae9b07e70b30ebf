"""The pairs of a sweep with float32 products that are near enough to matter, until float64 decides among them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from genbench.metrics.blocks import ExactBlock
from genbench.metrics.filtered import squared_distances
from genbench.metrics.filtered_block import FilteredBlock, Side

__all__ = ["Near", "NearObserver", "NearSearch"]

_MOST = 2**20  # pairs that wait at once
_PAIR_BYTES = 128  # of one that waits, and of what follows from it when it is decided


class Near(NamedTuple):
    """Some pairs of a sweep, each once.

    Args:
        rows: (n,) int64.
        columns: (n,) int64.
        squared: (n,) float64 squared distances.
    """

    rows: Tensor
    columns: Tensor
    squared: Tensor


class NearObserver(ABC):
    """An observer to which a pair matters only up to a certain distance: a limit of its row, of its column, or either.

    It sees some blocks of a sweep as a whole, and of the others at least those pairs.
    """

    @property
    def row_limits(self) -> Tensor | None:
        """(N,) float64 squared distances up to which a pair matters to its row; None where none does."""
        return None

    @property
    def column_limits(self) -> Tensor | None:
        """(M,) the same for columns."""
        return None

    def narrow(self, block: FilteredBlock) -> None:  # noqa: B027  the limits of most are fixed
        """Lower the limits according to a block of which no pair has been seen."""

    @abstractmethod
    def observe(self, block: ExactBlock) -> None:
        """See all pairs of a block."""

    @abstractmethod
    def observe_near(self, near: Near) -> None:
        """See the pairs of other blocks that are within the limits, and perhaps a few more."""


class NearSearch:
    """Observer of blocks with float32 products on behalf of others.

    Pairs wait until a sweep has shown all blocks, because by then most of those that may be among the nearest are known
    to be too far. Of a block in which too many would wait, all pairs are decided at once.

    Args:
        observers: see each pair within their limits once.
        left: side of the sweep.
        right: the other one; the same where a set is swept with itself.
        byte_budget: memory limit for the pairs that wait.
    """

    def __init__(self, observers: Sequence[NearObserver], left: Side, right: Side, byte_budget: int) -> None:
        self._observers = observers
        self._sides = left, right
        self._most = min(_MOST, byte_budget // _PAIR_BYTES)
        self._waiting: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []  # rows, columns, lower ends, mirrored
        self._count = 0

    def observe(self, block: FilteredBlock) -> None:
        for observer in self._observers:
            observer.narrow(block)
        rows, columns = self._limits(exchanged=block.mirrored)
        found = block.near(
            None if rows is None else rows[block.rows], None if columns is None else columns[block.columns]
        )
        if found is None:
            exact = block.exact()
            for observer in self._observers:
                observer.observe(exact)
            return
        left, right, lower = found
        mirrored = torch.full_like(left, block.mirrored, dtype=torch.bool)
        self._waiting.append((left + block.rows.start, right + block.columns.start, lower, mirrored))
        self._count += len(left)
        if self._count > self._most:
            self.settle()

    def settle(self) -> None:
        """Decide in float64 between the pairs of the blocks so far, and show them to the observers."""
        if not self._count:
            return
        rows, columns, lower, mirrored = (torch.cat(each) for each in zip(*self._waiting, strict=True))
        self._waiting, self._count = [], 0
        near = torch.zeros_like(mirrored)
        limits = self._limits(exchanged=self._sides[0] is self._sides[1])
        for places, of_places in zip((rows, columns), limits, strict=True):
            if of_places is not None:
                near |= lower <= of_places[places]
        rows, columns, mirrored = rows[near], columns[near], mirrored[near]
        squared = squared_distances(*self._sides, rows, columns)
        found = Near(
            torch.cat([rows, columns[mirrored]]),
            torch.cat([columns, rows[mirrored]]),
            torch.cat([squared, squared[mirrored]]),
        )
        for observer in self._observers:
            observer.observe_near(found)

    def _limits(self, *, exchanged: bool) -> tuple[Tensor | None, Tensor | None]:
        """Return the limits of rows and of columns; exchanged, each point's on either side."""
        rows = _largest([observer.row_limits for observer in self._observers])
        columns = _largest([observer.column_limits for observer in self._observers])
        if exchanged:
            rows = columns = _largest([rows, columns])
        return rows, columns


def _largest(limits: Sequence[Tensor | None]) -> Tensor | None:
    given = [each for each in limits if each is not None]
    return torch.stack(given).amax(dim=0) if given else None
