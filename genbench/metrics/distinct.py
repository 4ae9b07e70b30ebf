"""Distinct n-grams: how many different ones there are among equally many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.constants import DISTINCT_NGRAMS, DISTINCT_ORDERS
from genbench.metrics.not_measurable import NotMeasurable
from genbench.metrics.texts import character_counts, grams

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["distinct", "measure"]


def distinct(texts: Tensor, n: int, *, count: int = DISTINCT_NGRAMS) -> float | None:
    """Return the number of different n-grams among the first `count` ones, over `count`; None where there are fewer.

    N-grams stand within texts, of characters alone, one text after the other. From 1/count, all alike, to 1. The share
    falls with the number of n-grams, since a language has only so many, so two numbers compare at one count alone:
    the same for all texts, however long. Noise scores highest.

    Paper: Li et al. 2016, "A diversity-promoting objective function for neural conversation models",
    https://arxiv.org/abs/1510.03055

    Args:
        texts: (M, L) tokens, in random order.
        n: from 1 on.
        count: of n-grams.

    Example:
        >>> distinct(torch.tensor([[1, 2, 1, 2], [2, 1, 0, 0]]), 2, count=4)
        0.5
    """
    codes = grams(texts, n)
    ends = torch.arange(codes.shape[1], device=codes.device) + n
    taken = codes[ends <= character_counts(texts)[:, None]][:count]
    return len(torch.unique(taken)) / count if len(taken) == count else None


def measure(evidence: Evidence) -> dict[str, float]:
    """`distinct_1` to `distinct_4` of the samples; without those that have too few n-grams."""
    assert evidence.sample_items is not None
    # A file of another program may be sorted, and its first texts unlike the others.
    order = torch.randperm(len(evidence.sample_items), generator=torch.Generator().manual_seed(evidence.seed))
    texts = evidence.sample_items[order.to(evidence.sample_items.device)]
    values = {f"distinct_{n}": distinct(texts, n) for n in DISTINCT_ORDERS}
    if values["distinct_1"] is None:
        found = int(character_counts(texts).sum())
        raise NotMeasurable(f"distinct: needs {DISTINCT_NGRAMS} characters, and the samples have {found}; draw more")
    return {name: value for name, value in values.items() if value is not None}
