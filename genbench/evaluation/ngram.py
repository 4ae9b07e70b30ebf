"""A smoothed n-gram model of texts: a control that knows only which symbols follow each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ORDER", "SMOOTHING", "NGram", "fit"]

ORDER = 3  # a symbol is drawn given the two before it
SMOOTHING = 0.01  # added to each count, as if every symbol had been seen that often in every context


@dataclass(frozen=True)
class NGram:
    """Which symbols followed each context.

    Args:
        levels: V, the size of the vocabulary.
        contexts: (K,) int64, ascending: the contexts that occurred, as numbers.
        starts: (K + 1,) int64: where the followers of each context begin in `followers`.
        followers: (T,) int64: every symbol that followed, context by context.
    """

    levels: int
    contexts: Tensor
    starts: Tensor
    followers: Tensor

    def draw(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        """Draw texts, (count, length) int16, zero after the end."""
        items = torch.zeros(count, length, dtype=torch.int16)
        context = torch.zeros(count, dtype=torch.int64)
        written = torch.ones(count, dtype=torch.bool)
        for place in range(length):
            token = torch.where(written, self._next(context, generator), 0)
            items[:, place] = token.to(torch.int16)
            written &= token != 0
            context = _pushed(context, token, self.levels)
        return items

    def _next(self, context: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the symbol after each of (N,) contexts: one that followed it, or any symbol for the smoothing's share.

        A context that never occurred is followed by the symbols of all contexts.
        """
        place = torch.searchsorted(self.contexts, context).clamp_(max=len(self.contexts) - 1)
        known = self.contexts[place] == context
        first = torch.where(known, self.starts[place], 0)
        seen = torch.where(known, self.starts[place + 1], len(self.followers)) - first
        uniform = torch.rand(len(context), 2, generator=generator, dtype=torch.float64)
        total = seen + SMOOTHING * self.levels
        picked = (uniform[:, 0] * total).long()  # the smoothing's share lies beyond `seen`
        follower = self.followers[first + torch.minimum(picked, seen - 1)]
        return torch.where(uniform[:, 0] * total < seen, follower, (uniform[:, 1] * self.levels).long())


def fit(texts: Tensor, levels: int) -> NGram:
    """Find which symbols follow which `ORDER - 1` others; the beginning of a text is a context of ends.

    Drawing with additive smoothing (G. J. Lidstone, 1920) amounts to drawing one of the symbols that followed.

    Args:
        texts: (N, L) tokens, N ≥ 1.
        levels: V, the size of the vocabulary.
    """
    tokens = texts.long()
    written = (tokens == 0).cumsum(1) <= 1  # up to the first end, which counts as a symbol
    context = torch.zeros(len(tokens), dtype=torch.int64)
    contexts = []
    for column in tokens.unbind(1):
        contexts.append(context)
        context = _pushed(context, column, levels)
    seen, followers = torch.stack(contexts, 1)[written], tokens[written]
    order = torch.argsort(seen, stable=True)
    names, counts = seen[order].unique_consecutive(return_counts=True)
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    return NGram(levels, names, starts, followers[order])


def _pushed(context: Tensor, token: Tensor, levels: int) -> Tensor:
    """Return the context after a symbol: the last `ORDER - 1` symbols as the digits of a number."""
    pushed: Tensor = (context * levels + token) % int(levels ** (ORDER - 1))
    return pushed
