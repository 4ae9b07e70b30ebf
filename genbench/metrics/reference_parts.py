"""Equal parts of the training and the held-out features, whose distances can be compared."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.metrics.constants import GAP_PARTS
from genbench.metrics.features import taken
from genbench.metrics.gaussian import GaussianStatistics

__all__ = ["split_reference"]


def split_reference(
    train: Tensor, held_out: Tensor, *, parts: int = GAP_PARTS, seed: int = 0
) -> tuple[list[GaussianStatistics], list[GaussianStatistics]]:
    """Return statistics of disjoint random parts of both splits, each the smaller one's size, at most `parts` each."""
    size = min(len(train), len(held_out))
    generator = torch.Generator().manual_seed(seed)

    def cut(features: Tensor) -> list[GaussianStatistics]:
        order = torch.randperm(len(features), generator=generator)
        chosen = torch.split(order, size)[: min(parts, len(features) // size)]
        return [GaussianStatistics.from_features(taken(features, part)) for part in chosen]

    return cut(train), cut(held_out)
