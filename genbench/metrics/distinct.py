"""Distinct n-grams: how many of a fixed number of n-grams are different."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.constants import DISTINCT_NGRAMS, DISTINCT_ORDERS
from genbench.metrics.features import taken
from genbench.metrics.not_measurable import NotMeasurable
from genbench.metrics.texts import character_counts, grams

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["distinct", "measure"]


def distinct(texts: Tensor, n: int, *, count: int = DISTINCT_NGRAMS) -> float | None:
    """Return the number of distinct n-grams among the first `count`, over `count`; None where there are fewer.

    N-grams lie within a text and consist only of characters; texts are read one after the other. From 1/count, all
    alike, to 1. The share falls with the number of n-grams, since a language has only so many, so numbers compare only
    at the same count: it is the same for all texts, however long. Noise scores highest.

    Paper: Li et al. 2016, "A diversity-promoting objective function for neural conversation models",
    https://arxiv.org/abs/1510.03055

    Args:
        texts: (M, L) tokens, in random order.
        n: at least 1.
        count: number of n-grams.

    Example:
        >>> distinct(torch.tensor([[1, 2, 1, 2], [2, 1, 0, 0]]), 2, count=4)
        0.5
    """
    codes = grams(texts, n)
    ends = torch.arange(codes.shape[1], device=codes.device) + n
    taken = codes[ends <= character_counts(texts)[:, None]][:count]
    return len(torch.unique(taken)) / count if len(taken) == count else None


def measure(evidence: Evidence) -> dict[str, float]:
    """`distinct_1` to `distinct_4` of the samples, without those for which there are too few n-grams."""
    assert evidence.sample_items is not None
    # A file from another program may be sorted, so its first texts may not be representative.
    order = torch.randperm(len(evidence.sample_items), generator=torch.Generator().manual_seed(evidence.seed))
    texts = taken(evidence.sample_items, order)
    values = {f"distinct_{n}": distinct(texts, n) for n in DISTINCT_ORDERS}
    if values["distinct_1"] is None:
        found = int(character_counts(texts).sum())
        raise NotMeasurable(f"distinct: needs {DISTINCT_NGRAMS} characters, but the samples have {found}; draw more")
    return {name: value for name, value in values.items() if value is not None}
