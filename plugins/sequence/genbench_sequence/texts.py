"""What a batch of texts means: tokens (B, L) in which 0 is the end symbol; anything after the first 0 is ignored."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench import Data, Unsuitable

__all__ = [
    "END",
    "counted",
    "inputs_of",
    "log_probabilities",
    "require_texts",
    "symbol_log_probabilities",
    "without_rest",
]

END = 0  # also represents the beginning: as an input it can mean nothing else, because nothing follows an end
_IGNORED = -100


def require_texts(data: Data) -> None:
    """Raise `Unsuitable` for other kinds of data."""
    if data.kind != "text":
        raise Unsuitable("takes texts only")


def counted(tokens: Tensor) -> Tensor:
    """Return which tokens are symbols of their text, including the end: bool (B, L).

    >>> counted(torch.tensor([[3, 0, 2], [3, 1, 2]]))
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """
    ends = tokens == END
    return ends.cumsum(1) == ends  # no end before this position


def without_rest(tokens: Tensor) -> Tensor:
    """Return the texts with 0 for everything after their ends: (B, L)."""
    return tokens.masked_fill(~counted(tokens), END)


def inputs_of(tokens: Tensor) -> Tensor:
    """Return what a model reads before it predicts each token: a beginning, then all tokens but the last, (B, L)."""
    return F.pad(tokens[:, :-1], (1, 0), value=END)


def symbol_log_probabilities(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the log-probability of each symbol in nats, and 0 for everything after an end: (B, L).

    Args:
        logits: (B, L, V), those at t computed only from the tokens before t.
        tokens: (B, L) int64 in [0, V).
    """
    targets = tokens.masked_fill(~counted(tokens), _IGNORED)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # in case the layers ran in lower precision
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=_IGNORED, reduction="none")
    return -losses.view(tokens.shape)


def log_probabilities(logits: Tensor, tokens: Tensor) -> Tensor:
    r"""Return the log-probability of each text in nats, including the end symbol: (B,).

    .. math:: \log p(x) = \sum_{t=1}^{\min(|x| + 1, L)} \log \mathrm{softmax}(o_t)_{x_t}

    A text of L characters has no end to predict, so over all texts of 0 to L characters the probabilities sum to one.

    Args:
        logits: (B, L, V), those at t computed only from the tokens before t.
        tokens: (B, L) int64 in [0, V).
    """
    return symbol_log_probabilities(logits, tokens).sum(1)
