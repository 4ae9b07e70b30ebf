"""How far the samples' lengths and single symbols are from the data's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.texts import character_counts, histograms, padded_grams

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["length_wasserstein", "measure", "symbol_wasserstein"]


def length_wasserstein(samples: Tensor, reference: Tensor) -> float:
    """Return the Wasserstein-1 distance between the distributions of lengths, in characters: `Σ_l |F(l) − G(l)|`.

    Paper: Vallender 1974, "Calculation of the Wasserstein distance between probability distributions on the line",
    https://doi.org/10.1137/1118101

    Args:
        samples: (M, L) tokens, M ≥ 1.
        reference: (N, L) tokens, N ≥ 1.

    Example:
        >>> length_wasserstein(torch.tensor([[5, 5, 5]]), torch.tensor([[5, 0, 0]]))
        2.0
    """
    shares = [
        torch.bincount(character_counts(side), minlength=side.shape[1] + 1).double() / len(side)
        for side in (samples, reference)
    ]
    return float((shares[0] - shares[1]).cumsum(dim=0).abs().sum())


def symbol_wasserstein(samples: Tensor, reference: Tensor) -> float:
    """Return the Wasserstein-1 distance between the distributions of single symbols: `½ Σ_v |p(v) − q(v)|`, in [0, 1].

    Symbols have no order, so each is at distance 1 from every other, and the distance is the total variation: the
    smallest share of symbols that would have to change. The end of a text is a symbol, so it also sees mean lengths.

    Paper: Villani 2009, "Optimal transport: old and new", equation 6.11, https://doi.org/10.1007/978-3-540-71050-9

    Args:
        samples: (M, L) tokens, M ≥ 1.
        reference: (N, L) tokens, N ≥ 1.

    Example:
        >>> symbol_wasserstein(torch.tensor([[1, 1, 2, 3]]), torch.tensor([[1, 2, 2, 2]]))
        0.5
    """
    codes, inside = padded_grams(torch.cat([samples, reference]), 1)
    count = len(samples)
    p, q = histograms(codes[:count][inside[:count]], codes[count:][inside[count:]])
    return float((p - q).abs().sum() / 2)


def measure(evidence: Evidence) -> dict[str, float]:
    """`length_w1` and `symbol_w1` between samples and training texts."""
    assert evidence.sample_items is not None
    assert evidence.reference_items is not None
    sides = evidence.sample_items, evidence.reference_items
    return {"length_w1": length_wasserstein(*sides), "symbol_w1": symbol_wasserstein(*sides)}
