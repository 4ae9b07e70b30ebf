"""Jensen–Shannon divergence between the n-grams of samples and of training texts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.constants import NGRAM_ORDERS
from genbench.metrics.texts import histograms, padded_grams

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["jensen_shannon", "measure", "ngram_divergence"]


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """Return `½ KL(p ‖ m) + ½ KL(q ‖ m)` in bits, `m = (p + q)/2`, of two (G,) float64 distributions: in [0, 1].

    Paper: Lin 1991, "Divergence measures based on the Shannon entropy", https://doi.org/10.1109/18.61115

    >>> jensen_shannon(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    1.0
    """
    mean = (p + q) / 2
    # Where m is 0, both sides are 0 too: 0/0, which adds nothing.
    halves = [torch.special.xlogy(side, side / mean).nan_to_num(0.0).sum() / 2 for side in (p, q)]
    return min(1.0, max(0.0, float(halves[0] + halves[1]) / math.log(2)))


def ngram_divergence(samples: Tensor, reference: Tensor, n: int) -> float:
    """Return the divergence between the n-gram distributions of two sets of texts, in bits.

    An n-gram is a symbol with the n − 1 before it: begin symbols before the first, and the end as the last. 0 where all
    n-grams are equally frequent on both sides, 1 where the sides share none. It is biased upwards by n-grams that
    neither side has seen, the more so the larger n is and the fewer texts there are: compare at equal counts, and read
    it against `real`.

    Args:
        samples: (M, L) tokens, M ≥ 1.
        reference: (N, L) tokens, N ≥ 1.
        n: at least 1.

    Example:
        >>> texts = torch.tensor([[1, 2, 0], [2, 0, 0]])
        >>> ngram_divergence(texts, texts, 2), ngram_divergence(texts[:1], texts[1:] + 2, 2)
        (0.0, 1.0)
    """
    codes, inside = padded_grams(torch.cat([samples, reference]), n)
    count = len(samples)
    return jensen_shannon(*histograms(codes[:count][inside[:count]], codes[count:][inside[count:]]))


def measure(evidence: Evidence) -> dict[str, float]:
    """`ngram_js_1` to `ngram_js_5` between samples and training texts."""
    assert evidence.sample_items is not None
    assert evidence.reference_items is not None
    samples, reference = evidence.sample_items, evidence.reference_items
    return {f"ngram_js_{n}": ngram_divergence(samples, reference, n) for n in NGRAM_ORDERS}
