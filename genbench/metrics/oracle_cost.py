"""The cost of each sample under the distribution that made the data."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genbench.metrics.constants import ORACLE_UNIFORM_SHARE

__all__ = ["oracle_nats"]


def oracle_nats(
    log_probabilities: Tensor, symbols: Tensor, levels: int, *, uniform_share: float = ORACLE_UNIFORM_SHARE
) -> Tensor:
    """Return (M,) float64 nats: `−log((1 − ε) p(x) + ε u(x))` of each sample.

    p is the distribution of the data, and `u(x) = V^−symbols(x)` that of uniform symbols up to the end or to the
    longest length: without it, one text that p makes never would make the mean infinite. A text of p costs
    `−log(1 − ε)` more than under p at most, 0.001 nats.

    Their mean over samples of q is `H(q) + KL(q ‖ p)`: neither way is better. For q = p it is the entropy of p; below
    that, samples are less varied than the data, as of a model that makes the most likely text always.

    Paper: Yu et al. 2017, "SeqGAN: sequence generative adversarial nets with policy gradient",
    https://arxiv.org/abs/1609.05473 (`NLL_oracle`)

    Args:
        log_probabilities: (M,) nats under p, −∞ for what p makes never.
        symbols: (M,) of each text, the end included.
        levels: V, with the end.
        uniform_share: ε.

    Raises:
        ValueError: a log-probability that is NaN or above 0, beyond rounding.

    Example:
        >>> known = torch.tensor([math.log(0.5), -math.inf])
        >>> oracle_nats(known, torch.tensor([1, 1]), 2, uniform_share=0.5).exp().round(decimals=6).tolist()
        [2.0, 4.0]
    """
    exact = log_probabilities.double()
    if exact.shape != symbols.shape or not bool((exact <= 1e-6).all()):  # NaN is not at most anything
        raise ValueError(f"log-probabilities: expected {tuple(symbols.shape)} numbers of at most 0")
    uniform = -symbols.double() * math.log(levels)
    return -torch.logaddexp(exact + math.log1p(-uniform_share), uniform + math.log(uniform_share))
