"""Bits per character: the log-likelihood of held-out texts, per symbol."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from genbench.metrics.texts import symbol_counts

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["bits_per_character", "measure"]


def bits_per_character(nats: Tensor, symbols: Tensor) -> float:
    """Return `−Σ nats / (ln 2 · Σ symbols)`: the code length of all texts over the symbols of all texts.

    The end of a text is a symbol that a model predicts, so it counts: `log₂ V` for a uniform guess over V symbols,
    including the end. A ratio of sums, not a mean of ratios, so that a long text weighs more than a short one. A lower
    bound on the likelihood (an ELBO) gives an upper bound. Blind to how samples look.

    Paper: Graves 2013, "Generating sequences with recurrent neural networks", https://arxiv.org/abs/1308.0850

    Args:
        nats: (N,) log-likelihoods of whole texts, N ≥ 1.
        symbols: (N,) number of symbols of each, including the end.

    Raises:
        ValueError: they are not (N,), not finite, or differ in number.

    Example:
        >>> import torch
        >>> symbols = torch.tensor([4, 8])
        >>> round(bits_per_character(-symbols * math.log(32), symbols), 6)
        5.0
    """
    if nats.ndim != 1 or not bool(nats.isfinite().all()):
        raise ValueError(f"log-likelihoods: expected (N,) finite numbers, got {tuple(nats.shape)}")
    if len(nats) != len(symbols):
        raise ValueError(f"log-likelihoods: expected one per text, got {len(nats)} for {len(symbols)} texts")
    return 0.0 - float(nats.double().sum()) / (int(symbols.sum()) * math.log(2))  # 0, not -0, for a certain model


def measure(evidence: Evidence) -> dict[str, float]:
    """`bits_per_char` of held-out texts."""
    assert evidence.log_likelihoods is not None
    assert evidence.held_out_items is not None
    return {"bits_per_char": bits_per_character(evidence.log_likelihoods, symbol_counts(evidence.held_out_items))}
