"""Lengths and n-grams of stored texts: tokens (N, L), 0 the end and the padding. Exact: no hash is ever taken."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["character_counts", "grams", "histograms", "padded_grams", "symbol_counts"]

_LARGEST = 2**62  # of a code


def character_counts(texts: Tensor) -> Tensor:
    """Return (N,) int64: the characters of each text, which are what stands before its first 0.

    >>> character_counts(torch.tensor([[3, 4, 0], [0, 0, 0], [5, 6, 7]])).tolist()
    [2, 0, 3]
    """
    _check(texts)
    return (texts != 0).long().cumprod(dim=1).sum(dim=1)


def symbol_counts(texts: Tensor) -> Tensor:
    """Return (N,) int64: the symbols of each text, `min(characters + 1, L)`: its end counts where there is one.

    >>> symbol_counts(torch.tensor([[3, 4, 0], [0, 0, 0], [5, 6, 7]])).tolist()
    [3, 1, 3]
    """
    return (character_counts(texts) + 1).clamp(max=texts.shape[1])


def grams(texts: Tensor, n: int) -> Tensor:
    """Return (N, L − n + 1) int64 codes of the windows of n tokens: equal codes for equal windows and for no others.

    Tokens are the digits of a code, on the base of the largest token. Where the next digit would not fit into 62 bits,
    the codes so far are replaced by their ranks. Only codes of one call compare.

    Args:
        texts: (N, L) tokens from 0 on.
        n: from 1 on; of more than L there is no window.
    """
    _check(texts)
    width = max(0, texts.shape[1] - n + 1)
    codes = torch.zeros(len(texts), width, dtype=torch.int64, device=texts.device)
    if not codes.numel():
        return codes
    base = int(texts.max()) + 1
    size = 1
    for offset in range(n):
        if size * base > _LARGEST:
            found, codes = torch.unique(codes, return_inverse=True)
            size = len(found)
        codes = codes * base + texts[:, offset : offset + width]
        size *= base
    return codes


def padded_grams(texts: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return (N, L) codes of the n symbols up to each position, and (N, L) booleans: where there is a symbol.

    Before the first symbol of a text stand n − 1 begin symbols, and its end is a symbol. So a text has as many n-grams
    as symbols, whatever n: what a model has to predict, each with the n − 1 symbols before it.
    """
    symbols = symbol_counts(texts)
    # The begin symbol is 0 as the end is: no n-gram ends with the one, nor has the other but as its last.
    codes = grams(torch.nn.functional.pad(texts, (n - 1, 0)), n)
    positions = torch.arange(texts.shape[1], device=texts.device)
    return codes, positions < symbols[:, None]


def histograms(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (G,) float64 shares of the codes of two sets, over the codes that either has.

    >>> histograms(torch.tensor([7, 7, 9, 9]), torch.tensor([9, 4]))
    (tensor([0.0000, 0.5000, 0.5000], dtype=torch.float64), tensor([0.5000, 0.0000, 0.5000], dtype=torch.float64))
    """
    found, of = torch.unique(torch.cat([first, second]), return_inverse=True)
    one, other = (torch.bincount(part, minlength=len(found)).double() for part in of.split([len(first), len(second)]))
    return one / len(first), other / len(second)


def _check(texts: Tensor) -> None:
    if texts.ndim != 2 or texts.is_floating_point():
        raise ValueError(f"texts: expected tokens of shape (N, L), got {texts.dtype} {tuple(texts.shape)}")
