"""`Kind`: what the harness asks of a kind of items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genbench.kinds.nouns import NOUNS
from genbench.plugin.data import Data

__all__ = ["Kind", "Misfit", "Whole"]


class Misfit(ValueError):  # noqa: N818  # says what was found, and becomes the error of whoever asked
    """What a model returned is no batch of items.

    Args:
        found: what it is.
        expected: what it should be.
        advice: how the model gets there, or empty.
    """

    def __init__(self, found: str, expected: str, advice: str = "") -> None:
        super().__init__(f"{found}, expected {expected}" + (f"; {advice}" if advice else ""))
        self.found, self.expected, self.advice = found, expected, advice


@dataclass(frozen=True)
class Whole:
    """All items that there are of one tiny shape, so that their probabilities can be summed.

    Args:
        kind: of the items.
        items: (N, ...) as they are stored, each once.
        name: what to call them, such as `the 256 images of one pixel`.
        draws: of a bound's own noise for each item, enough for the sum to be told from 1.
    """

    kind: Kind
    items: Tensor
    name: str
    draws: int


class Kind(ABC):
    """One kind of items, immutable. What tells the datasets of a kind apart, as the alphabet of
    texts or the sample rate of clips, is in it.

    Attributes:
        name: `image`, `text` or `audio`.
        rounding: how what a model returns becomes what is stored, for the recipes of numbers.
        suffix: of the files that `show` writes.
        dtype: of stored items.
        likelihood_advice: what a log-likelihood that is too high has mostly left out.
    """

    name: str
    rounding: str
    suffix: str
    dtype: torch.dtype
    likelihood_advice: str

    @property
    def identity(self) -> bytes:
        """What a dataset's fingerprint must tell apart beside its stored items."""
        return b""

    @property
    @abstractmethod
    def levels(self) -> int:
        """How many values an entry of a stored item can take."""

    @property
    def noun(self) -> str:
        """What many items are called, such as `images`."""
        return NOUNS[self.name]

    def data(self, shape: Sequence[int], count: int, classes: int | None) -> Data:
        """Return what a model is told of `count` items of this kind to train on, each of `shape`."""
        return Data(self.name, torch.Size(shape), count, classes, self.levels)

    @abstractmethod
    def deliver(self, stored: Tensor) -> Tensor:
        """Return stored items as hooks see them: a batch (B, ...) on the same device."""

    @abstractmethod
    def store(self, batch: Tensor) -> Tensor:
        """Return what a hook returned, once checked, as it is stored: (B, ...), on the same device."""

    @abstractmethod
    def check(self, returned: object, expected: Sequence[int]) -> Tensor:
        """Return what a hook returned as a plain tensor.

        Args:
            returned: by the hook.
            expected: the shape (B, ...) that it must have.

        Raises:
            Misfit: it is no tensor of this shape, of the kind's type, or has values out of range.
        """

    @abstractmethod
    def random(self, count: int, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Return `count` stored items whose entries are uniform over all levels, on the CPU."""

    def nearest(self, values: Tensor) -> Tensor:
        """Return the stored items nearest to real values on the scale of stored entries.

        Raises:
            TypeError: the kind's levels are symbols, between which nothing lies.
        """
        raise TypeError(f"nothing lies between two {self.noun}")

    @abstractmethod
    def wholes(self) -> Iterator[Whole]:
        """Yield small worlds of this kind: those that a model is most likely to take first."""

    @abstractmethod
    def show(self, path: Path, items: Tensor) -> None:
        """Write stored items (N, ...) as one file that people look at, whole or not at all."""

    @abstractmethod
    def show_pairs(self, path: Path, originals: Tensor, restored: Tensor) -> None:
        """Write stored items, each beside what a model made of it, as one file; whole or not at all."""

    def keep(self, stem: Path, items: Tensor) -> list[Path]:
        """Write stored items as files of their own, where looking does not tell all: clips, which are listened to.

        Args:
            stem: of the files' names.
            items: (N, ...); the kind chooses how many of them.

        Returns:
            The files; none where `show` is enough.
        """
        return []

    @abstractmethod
    def shown(self, shape: torch.Size) -> int:
        """Return how many items of this shape one file shows."""
