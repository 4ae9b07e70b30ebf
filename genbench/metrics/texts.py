"""Lengths and n-grams of stored texts: tokens (N, L), with 0 as the end and the padding. Exact: nothing is hashed."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["character_counts", "grams", "histograms", "padded_grams", "symbol_counts"]

_LARGEST = 2**62  # largest code


def character_counts(texts: Tensor) -> Tensor:
    """Return (N,) int64: the number of characters of each text, those before its first 0.

    >>> character_counts(torch.tensor([[3, 4, 0], [0, 0, 0], [5, 6, 7]])).tolist()
    [2, 0, 3]
    """
    _check(texts)
    return (texts != 0).long().cumprod(dim=1).sum(dim=1)


def symbol_counts(texts: Tensor) -> Tensor:
    """Return (N,) int64: the number of symbols of each text, `min(characters + 1, L)`: its end, if any, counts.

    >>> symbol_counts(torch.tensor([[3, 4, 0], [0, 0, 0], [5, 6, 7]])).tolist()
    [3, 1, 3]
    """
    return (character_counts(texts) + 1).clamp(max=texts.shape[1])


def grams(texts: Tensor, n: int) -> Tensor:
    """Return (N, L − n + 1) int64 codes of the windows of n tokens: two codes are equal iff their windows are equal.

    Tokens are the digits of a code, in a base set by the largest token. Where the next digit would not fit into 62
    bits, the codes so far are replaced by their ranks. Only codes from the same call are comparable.

    Args:
        texts: (N, L) tokens, at least 0.
        n: at least 1; if n exceeds L there are no windows.
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

    n − 1 begin symbols precede the first symbol of a text, and its end is a symbol. A text therefore has as many
    n-grams as symbols, whatever n: what a model has to predict, each symbol with the n − 1 before it.
    """
    symbols = symbol_counts(texts)
    # The begin symbol is 0, like the end: no n-gram ends with the former, or contains the latter except as its last.
    codes = grams(torch.nn.functional.pad(texts, (n - 1, 0)), n)
    positions = torch.arange(texts.shape[1], device=texts.device)
    return codes, positions < symbols[:, None]


def histograms(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (G,) float64 shares of the codes of two sets, over the codes that occur in either.

    >>> histograms(torch.tensor([7, 7, 9, 9]), torch.tensor([9, 4]))
    (tensor([0.0000, 0.5000, 0.5000], dtype=torch.float64), tensor([0.5000, 0.0000, 0.5000], dtype=torch.float64))
    """
    found, of = torch.unique(torch.cat([first, second]), return_inverse=True)
    one, other = (torch.bincount(part, minlength=len(found)).double() for part in of.split([len(first), len(second)]))
    return one / len(first), other / len(second)


def _check(texts: Tensor) -> None:
    if texts.ndim != 2 or texts.is_floating_point():
        raise ValueError(f"texts: expected tokens of shape (N, L), got {texts.dtype} {tuple(texts.shape)}")
