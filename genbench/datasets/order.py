"""An order of items in which every prefix has the classes in their proportions."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["balanced_order"]


def balanced_order(count: int, labels: Tensor | None, generator: torch.Generator | None) -> Tensor:
    """Return an order of `count` items, (count,) int64; with labels, a balanced one.

    The order is random, or the original one without a generator. With labels, the j-th of the n items of a class is
    placed at (j - 1/2) / n, so the first k items are those to which Sainte-Laguë's method would allot k seats. Ties
    between classes are resolved by the plain order.
    """
    order = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
    if labels is None:
        return order
    mine = labels[order]
    by_class = torch.argsort(mine, stable=True)
    sizes = torch.bincount(mine)
    first = (sizes.cumsum(0) - sizes)[mine[by_class]]  # of the class of each
    stands = torch.empty(count, dtype=torch.float64)
    stands[by_class] = (torch.arange(count) - first + 0.5) / sizes[mine[by_class]].double()
    return order[torch.argsort(stands, stable=True)]
