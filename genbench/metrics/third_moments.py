"""Sums of the KID kernel over all pairs from third moments: their time is linear in the number of items.

With z = (x/√d, 1) and w likewise of y, `(x·y/d + 1)³ = (z·w)³ = Σ_abc z_a z_b z_c w_a w_b w_c`, so the sum over many y
needs only their moments `T_abc = Σ w_a w_b w_c`. T is symmetric: of the (d + 1)³ numbers, a sixth and a little more are
computed. The components are divided into groups of four; of each triple of groups, one order is kept, and stands for as
many as there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["moments_pay", "row_sums", "self_kernel", "sum_of_distinct", "third_moments", "total"]

# Components in a group: products of fewer are slow, and more repeat more. The order of stored moments follows from it,
# so it changes only with the version of `ReferenceStatistics`.
_GROUP = 4
_ROWS = 1024  # at once, so that their products of two components stay in the caches
_LEAST = 1024  # items from which on a sweep takes noticeable time
_LARGEST_DIMENSION = 128  # with more, a sweep for neighbours has products that the sums can share


def moments_pay(count: int, dimension: int) -> bool:
    """Whether sums over so many reference items are faster from their moments than pair by pair."""
    return dimension <= _LARGEST_DIMENSION and count >= max(_LEAST, dimension**2 // 2)


def third_moments(features: Tensor) -> Tensor:
    """Return the third moments of (N, d) features, (L,) float64, from which kernels are summed over them.

    Sums of them are those of the features taken together, and multiples count the features as often.
    """
    triples = _triples(features.shape[1] + 1)
    moments = features.new_zeros(triples[-1].stop, dtype=torch.float64)
    for z in _components(features):
        for triple in triples:
            triple.of(moments).addmm_(triple.pairs(z), z[triple.first :].T)
    return moments


def row_sums(features: Tensor, moments: Tensor) -> Tensor:
    """Return (N,) float64, the sum of each row's kernel with all items that `moments` are of, perhaps itself."""
    triples = _triples(features.shape[1] + 1)
    weighted = moments * _multiplicities(triples, moments)
    parts = []
    for z in _components(features):
        found = z.new_zeros(z.shape[1])
        for triple in triples:
            found += (triple.of(weighted).T @ triple.pairs(z)).mul_(z[triple.first :]).sum(dim=0)
        parts.append(found)
    return torch.cat(parts)


def total(first: Tensor, second: Tensor, dimension: int) -> Tensor:
    """Return the 0-d float64 sum of the kernel over all pairs of two sets, from the moments of each."""
    # Not `dot`, which adds the products one after the other and loses two digits far from the origin.
    return (first * _multiplicities(_triples(dimension + 1), first)).mul_(second).sum()


def sum_of_distinct(features: Tensor, moments: Tensor) -> Tensor:
    """Return the 0-d float64 sum of the kernel over ordered pairs of distinct rows of (N, d), whose moments these are.

    >>> two = torch.tensor([[1.0], [2.0]])
    >>> sum_of_distinct(two, third_moments(two)).item()  # (1 · 2 + 1)³ in both orders
    54.0
    """
    return total(moments, moments, features.shape[1]) - self_kernel(features).sum()


def self_kernel(features: Tensor) -> Tensor:
    """Return (N,) float64, the kernel of each row with itself."""
    return torch.cat([z.square().sum(dim=0).pow_(3) for z in _components(features)])


@dataclass(frozen=True)
class _Triples:
    """The moments whose second component is in one group, with the first up to that group's and the third from it on.

    Args:
        first: of the group's components.
        end: of them.
        size: number of all components.
        start: place of the moments among all.
    """

    first: int
    end: int
    size: int
    start: int

    @property
    def shape(self) -> tuple[int, int]:
        """First and second component, and third."""
        return self.end * (self.end - self.first), self.size - self.first

    @property
    def stop(self) -> int:
        return self.start + self.shape[0] * self.shape[1]

    def of(self, moments: Tensor) -> Tensor:
        """Return the (a b, c) moments among all, as a view."""
        return moments[self.start : self.stop].view(self.shape)

    def pairs(self, z: Tensor) -> Tensor:
        """Return (a b, rows), the products of the first and the second component of (size, rows)."""
        return (z[: self.end, None] * z[None, self.first : self.end]).flatten(0, 1)

    def multiplicity(self, like: Tensor) -> Tensor:
        """Return (a, b, c) float64, in how many orders each triple of groups occurs among all: 6, 3 or 1."""
        width = self.end - self.first
        orders = like.new_full((self.end, width, self.size - self.first), 6.0)
        orders[self.first :] = 3.0
        orders[:, :, :width] = 3.0
        orders[self.first :, :, :width] = 1.0
        return orders


def _triples(size: int) -> list[_Triples]:
    found: list[_Triples] = []
    for first in range(0, size, _GROUP):
        found.append(_Triples(first, min(first + _GROUP, size), size, found[-1].stop if found else 0))
    return found


def _multiplicities(triples: list[_Triples], like: Tensor) -> Tensor:
    return torch.cat([triple.multiplicity(like).flatten() for triple in triples])


def _components(features: Tensor) -> Iterator[Tensor]:
    """Yield (d + 1, rows) float64 of some rows at a time, component by component."""
    dimension = features.shape[1]
    for chunk in features.split(_ROWS):
        z = chunk.new_ones(dimension + 1, len(chunk), dtype=torch.float64)
        z[:dimension].copy_(chunk.T).mul_(dimension**-0.5)
        yield z
