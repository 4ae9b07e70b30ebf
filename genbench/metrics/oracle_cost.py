"""The cost of each sample under the distribution that generated the data."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genbench.metrics.constants import ORACLE_CHAIN_SHARE
from genbench.metrics.texts import symbol_counts

__all__ = ["chain_log_probabilities", "oracle_nats"]


def oracle_nats(log_probabilities: Tensor, chain: Tensor, *, chain_share: float = ORACLE_CHAIN_SHARE) -> Tensor:
    """Return (M,) float64 nats: `−log((1 − ε) p(x) + ε c(x))` of each sample.

    p is the distribution of the data and c a chain of its symbols (`chain_log_probabilities`). Without c, a single text
    that p never generates would make the mean infinite; with uniform symbols instead of c, a text with one wrong letter
    would cost as much as noise. A text from p costs at most `−log(1 − ε)` = 0.001 nats more than under p.

    The mean over samples from q is `H(q) + KL(q ‖ p)`, so neither direction is better. For q = p it is the entropy of
    p; below that, samples are less varied than the data, as from a model that always generates the most likely text.

    Paper: Yu et al. 2017, "SeqGAN: sequence generative adversarial nets with policy gradient",
    https://arxiv.org/abs/1609.05473 (`NLL_oracle`)

    Args:
        log_probabilities: (M,) nats under p, −∞ for what p never generates.
        chain: (M,) nats under c.
        chain_share: ε.

    Raises:
        ValueError: a log-probability that is NaN, or above 0 by more than rounding.

    Example:
        >>> known = torch.tensor([math.log(0.5), -math.inf])
        >>> oracle_nats(known, torch.tensor([0.5, 0.5]).log(), chain_share=0.5).exp().round(decimals=6).tolist()
        [2.0, 4.0]
    """
    exact = log_probabilities.double()
    if exact.shape != chain.shape or not bool((exact <= 1e-6).all()):  # NaN fails every comparison
        raise ValueError(f"log-probabilities: expected {tuple(chain.shape)} numbers of at most 0")
    return -torch.logaddexp(exact + math.log1p(-chain_share), chain.double() + math.log(chain_share))


def chain_log_probabilities(texts: Tensor, reference: Tensor, levels: int) -> Tensor:
    """Return (M,) float64 nats of texts under a chain in which each symbol depends on the one before it.

    Its probabilities are those of the reference's pairs of symbols, with one added to each count (Laplace's rule), so
    every text has one. The end is a symbol; a begin symbol precedes the first symbol.

    Args:
        texts: (M, L) tokens.
        reference: (N, L) tokens of the data.
        levels: V, including the end.
    """
    counts = torch.ones(levels, levels, dtype=torch.float64)
    before, symbols, inside = _pairs(reference)
    counts.view(-1).index_add_(
        0, (before * levels + symbols)[inside], torch.ones(int(inside.sum()), dtype=torch.float64)
    )
    logs = (counts / counts.sum(1, keepdim=True)).log()
    before, symbols, inside = _pairs(texts)
    return torch.where(inside, logs[before, symbols], 0.0).sum(1)


def _pairs(texts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (N, L) the symbol before each, the symbol, and whether it exists: up to the end, which counts as one."""
    symbols = texts.long()
    positions = torch.arange(texts.shape[1], device=texts.device)
    return torch.nn.functional.pad(symbols, (1, 0))[:, :-1], symbols, positions < symbol_counts(texts)[:, None]
