"""Texts: stored as int16 tokens (L,), delivered to models as int64, shown as a listing.

Token 0 is the end and the padding: everything after an item's first 0 is 0 too, and a text of L symbols has no 0.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genbench.kinds import listing
from genbench.kinds.kind import Kind, Misfit, Whole
from genbench.plugin.data import Data
from genbench.plugin.returned import Unusable, plain

__all__ = ["BYTES", "KIND", "END", "MOST_SYMBOLS", "Text", "ended"]

END = 0
MOST_SYMBOLS = 2**15  # the number of distinct int16 tokens, including the end
BYTES = ("", *(chr(byte) for byte in range(256)))  # the symbols of tokens if texts are read byte by byte
_IN_A_LISTING = 100


@dataclass(frozen=True)
class Text(Kind):
    """Texts over one alphabet.

    Args:
        symbols: the symbol of each token, starting with the end's empty text: one character each, or `BYTES`.
    """

    symbols: tuple[str, ...] = ("", *string.ascii_lowercase)

    name = "text"
    rounding = "none; what follows the first end is left out"
    suffix = ".txt"
    dtype = torch.int16
    likelihood_advice = (
        "normalise over all data.levels symbols, count the end of a text that has one, and the cost of the code (the "
        "KL term)"
    )

    @property
    def levels(self) -> int:
        """The size of the vocabulary, including the end."""
        return len(self.symbols)

    @property
    def identity(self) -> bytes:
        return "".join(self.symbols).encode("utf-8", "surrogatepass")

    def data(self, shape: Sequence[int], count: int, classes: int | None) -> Data:
        return Data(self.name, torch.Size(shape), count, classes, self.levels, self.symbols)

    def deliver(self, stored: Tensor) -> Tensor:
        """Return int16 tokens as int64."""
        return stored.long()

    def store(self, batch: Tensor) -> Tensor:
        """Return tokens as int16, each text closed by its first end."""
        return ended(batch).to(torch.int16)

    def check(self, returned: object, expected: Sequence[int]) -> Tensor:
        shape = tuple(expected)
        try:
            found = plain(returned, (torch.int64,))
        except Unusable as error:
            advice = "take the argmax, or draw" if isinstance(returned, Tensor) and returned.is_floating_point() else ""
            raise Misfit(str(error), f"int64 tokens of shape {shape}", advice) from None
        if tuple(found.shape) != shape:
            is_short = found.ndim == len(shape) and found.shape[0] == shape[0] and found.shape[-1] < shape[-1]
            raise Misfit(str(tuple(found.shape)), str(shape), "fill what follows the end with 0" if is_short else "")
        if found.numel():
            low, high = (int(value) for value in found.aminmax())
            if low < 0 or high >= self.levels:
                raise Misfit(f"tokens from {low} to {high}", f"0 to {self.levels - 1}", "see data.levels")
        return found

    def random(self, count: int, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        return self.store(torch.randint(self.levels, (count, *shape), generator=generator))

    def texts(self, items: Tensor) -> list[str]:
        """Return stored items (N, L) as texts; bytes that are not UTF-8 become replacement characters."""
        texts = ["".join([self.symbols[token] for token in row if token]) for row in items.tolist()]
        if self.symbols != BYTES:
            return texts
        return [text.encode("latin-1").decode("utf-8", "replace") for text in texts]

    def spelt(self, text: str) -> str:
        """Return a text as a string of this alphabet's symbols: itself, or its bytes as latin-1 characters."""
        return text.encode("utf-8", "surrogatepass").decode("latin-1") if self.symbols == BYTES else text

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text, without an end; -1 for a symbol outside the alphabet."""
        return [self._numbers.get(symbol, -1) for symbol in self.spelt(text)]

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: token for token, symbol in enumerate(self.symbols)}

    def wholes(self) -> Iterator[Whole]:
        length, kind = 4, Text(("", "a", "b"))
        every = torch.cartesian_prod(*[torch.arange(kind.levels)] * length)
        texts = kind.store(every).unique(dim=0)
        yield Whole(kind, texts, f"the {len(texts)} texts of up to {length} symbols of two", 64)

    def show(self, path: Path, items: Tensor) -> None:
        listing.save(path, self.texts(items))

    def show_pairs(self, path: Path, originals: Tensor, restored: Tensor) -> None:
        listing.save_pairs(path, self.texts(originals), self.texts(restored))

    def shown(self, shape: torch.Size) -> int:
        return _IN_A_LISTING


def ended(tokens: Tensor) -> Tensor:
    """Return tokens (..., L) with only ends after the first end of each."""
    return tokens.masked_fill((tokens == END).cumsum(-1) > 0, END)


KIND: Kind = Text()
