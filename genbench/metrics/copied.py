"""How much texts share with training texts: whether they are identical to one, and the longest run copied from one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genbench.metrics.texts import character_counts, grams

__all__ = ["copied_runs", "novel"]

_BLOCK = 2**20  # positions of training texts ranked at once
_CODE_BITS = 62


def novel(texts: Tensor, training: Tensor) -> Tensor:
    """Return (M,) booleans: whether each text differs from every training text, compared symbol by symbol.

    Neither direction is better: noise is always new, and samples from the data's own distribution repeat a training
    text as often as held-out texts do.

    Paper: Zhao, Kim, Zhang, Rush & LeCun 2018, "Adversarially regularized autoencoders",
    https://arxiv.org/abs/1706.04223; the test: Fisher 1922, https://doi.org/10.2307/2340521

    Args:
        texts: (M, L) tokens.
        training: (N, L) tokens.

    Example:
        >>> novel(torch.tensor([[1, 2, 0], [2, 1, 0]]), torch.tensor([[1, 2, 0], [1, 2, 3]])).tolist()
        [False, True]
    """
    whole = grams(torch.cat([texts, training]), texts.shape[1])[:, 0]
    return ~torch.isin(whole[: len(texts)], whole[len(texts) :])


def copied_runs(texts: Tensor, training: Tensor, *, block: int = _BLOCK) -> Tensor:
    """Return (M,) int64: the length of the longest substring of each text that is a substring of a training text.

    Exact, and without hashing. All suffixes of both sides are ranked by prefix doubling: the rank of 2k symbols follows
    from two ranks of k symbols. The training suffix that shares the longest prefix with a given suffix is adjacent to
    it in that order. The length of the shared prefix comes from the ranks, largest first, as the digits of a binary
    number. A run consists of characters; the end of a text is not one. Neither direction is better: read it against
    `real`.

    Paper: Manber & Myers 1993, "Suffix arrays: a new method for on-line string searches",
    https://doi.org/10.1137/0222058

    Args:
        texts: (M, L) tokens.
        training: (N, L) tokens of the same length.
        block: positions of training texts processed at once.

    Example:
        >>> copied_runs(torch.tensor([[1, 2, 3, 4], [9, 9, 0, 0]]), torch.tensor([[2, 3, 4, 0], [1, 2, 9, 0]])).tolist()
        [3, 1]
    """
    runs = torch.zeros(len(texts), dtype=torch.int64, device=texts.device)
    if texts.numel():
        for part in training.split(max(1, block // texts.shape[1])):
            runs = torch.maximum(runs, _runs(texts, part))
    return runs


@dataclass(frozen=True)
class _Table:
    """(T, L + 1) int64: equal where `size` symbols from two positions are equal; the last column is past the end."""

    size: int
    codes: Tensor

    def doubled(self) -> _Table:
        """Return the table for twice as many symbols, as ranks in the order of the symbols."""
        ranks = torch.unique(self.codes, return_inverse=True)[1]
        return _Table(2 * self.size, ranks * (int(ranks.max()) + 1) + _moved(ranks, self.size))


def _moved(table: Tensor, by: int) -> Tensor:
    """Return the entries `by` columns farther on; all columns past the end equal the last one."""
    columns = torch.arange(table.shape[1], device=table.device) + by
    return table[:, columns.clamp(max=table.shape[1] - 1)]


def _tables(texts: Tensor) -> list[_Table]:
    """Return tables of 1, 2, 4, ... symbols, up to the whole text, and the ranks of the suffixes as the last."""
    tokens = torch.nn.functional.pad(texts.long(), (0, 1))
    bits = int(tokens.max()).bit_length()
    tables = [_Table(1, tokens)]
    while (last := tables[-1]).size < texts.shape[1]:
        if 2 * last.size * bits <= _CODE_BITS:  # the digits themselves fit, so no ranks are needed
            joined = last.codes << (last.size * bits) | _moved(last.codes, last.size)
            tables.append(_Table(2 * last.size, joined))
        else:
            tables.append(last.doubled())
    return tables


def _runs(texts: Tensor, training: Tensor) -> Tensor:
    count = len(texts)
    tables = _tables(torch.cat([texts, training]))
    ranks = torch.unique(tables[-1].codes, return_inverse=True)[1]
    lengths = character_counts(texts)
    columns = torch.arange(texts.shape[1], device=texts.device)
    rows, starts = (columns < lengths[:, None]).nonzero(as_tuple=True)
    longest = torch.zeros(len(rows), dtype=torch.int64, device=texts.device)
    for near in _neighbours(ranks, count, ranks[rows, starts]):
        at = torch.full_like(rows, 0)
        of, start = near // ranks.shape[1], near % ranks.shape[1]
        for table in reversed(tables):
            last = table.codes.shape[1] - 1
            mine = table.codes[rows, (starts + at).clamp(max=last)]
            theirs = table.codes[of, (start + at).clamp(max=last)]
            at += table.size * (mine == theirs)
        longest = torch.maximum(longest, torch.minimum(at, lengths[rows] - starts))
    return torch.zeros_like(lengths).scatter_reduce(0, rows, longest, "amax")


def _neighbours(ranks: Tensor, count: int, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return flat positions of the last training suffix up to each wanted rank, and of the first from it on.

    The empty suffix is the first of all and ends every training text, so one precedes; where none follows, the one
    that precedes is used for both.
    """
    total = int(ranks.max()) + 1
    # Without training texts, no suffix is there, and -1 is the last position of all: an empty suffix too.
    where = torch.full((total,), -1, dtype=torch.int64, device=ranks.device)
    theirs = ranks[count:].flatten()
    where[theirs] = torch.arange(len(theirs), device=ranks.device) + count * ranks.shape[1]
    index = torch.arange(total, device=ranks.device)
    there = where >= 0
    before = (index * there).cummax(dim=0).values
    after = torch.where(there, index, total).flip(0).cummin(dim=0).values.flip(0)
    after = torch.where(after == total, before, after)
    return where[before[wanted]], where[after[wanted]]
