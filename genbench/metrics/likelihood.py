"""Bits per dimension: the log-likelihood of stored items per value, that is, per pixel channel or sound sample."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["bits_per_dimension", "measure"]


def bits_per_dimension(nats: Tensor, dimensions: int) -> float:
    """Return `−mean(nats) / (D ln 2)`.

    The code length of an item in bits, per value; 8 for a uniform guess over 256 levels, 16 over 65,536, and never
    below 0 for a valid model of stored data. A lower bound on the likelihood (an ELBO) gives an upper bound. Blind to
    how samples look: the two are nearly unrelated.

    Paper: Theis, van den Oord & Bethge 2016, "A note on the evaluation of generative models",
    https://arxiv.org/abs/1511.01844

    Args:
        nats: (N,) log-likelihoods of the stored data, N ≥ 1.
        dimensions: D, the number of values in an item.

    Raises:
        ValueError: they are not (N,) or not finite.

    Example:
        >>> import torch
        >>> round(bits_per_dimension(torch.full((5,), -64 * math.log(256)), 64), 6)
        8.0
    """
    if nats.ndim != 1 or not bool(nats.isfinite().all()):
        raise ValueError(f"log-likelihoods: expected (N,) finite numbers, got {tuple(nats.shape)}")
    return 0.0 - float(nats.double().mean()) / (dimensions * math.log(2))  # 0, not -0, for a certain model


def measure(evidence: Evidence) -> dict[str, float]:
    """`bits_per_dim` of held-out items."""
    assert evidence.log_likelihoods is not None
    assert evidence.dimensions is not None
    return {"bits_per_dim": bits_per_dimension(evidence.log_likelihoods, evidence.dimensions)}
