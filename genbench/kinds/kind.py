"""`Kind`: what the harness needs from a kind of items."""

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


class Misfit(ValueError):  # noqa: N818  # says what was found, and the caller turns it into its own error
    """What a model returned is not a batch of items.

    Args:
        found: what was returned.
        expected: what should have been returned.
        advice: how to fix the model, or empty.
    """

    def __init__(self, found: str, expected: str, advice: str = "") -> None:
        super().__init__(f"{found}, expected {expected}" + (f"; {advice}" if advice else ""))
        self.found, self.expected, self.advice = found, expected, advice


@dataclass(frozen=True)
class Whole:
    """All items of one tiny shape, or some of a larger one, so that their probabilities can be summed.

    Args:
        kind: of the items.
        items: (N, ...) as they are stored, each once.
        name: what to call them, such as `the 256 images of one pixel`.
        draws: how often to draw a bound's own noise for each item, enough to distinguish the sum from 1.
    """

    kind: Kind
    items: Tensor
    name: str
    draws: int


class Kind(ABC):
    """One kind of items, immutable. It includes what distinguishes the datasets of a kind, such as the alphabet of
    texts or the sample rate of clips.

    Attributes:
        name: `image`, `text` or `audio`.
        rounding: how a model's output is converted to stored values, for the recipes of numbers.
        suffix: of the files that `show` writes.
        dtype: of stored items.
        likelihood_advice: what a log-likelihood that is too high has usually left out.
    """

    name: str
    rounding: str
    suffix: str
    dtype: torch.dtype
    likelihood_advice: str

    @property
    def identity(self) -> bytes:
        """What a dataset's fingerprint must distinguish besides its stored items."""
        return b""

    @property
    @abstractmethod
    def levels(self) -> int:
        """The number of values that an entry of a stored item can take."""

    @property
    def noun(self) -> str:
        """The plural name of the items, such as `images`."""
        return NOUNS[self.name]

    def data(self, shape: Sequence[int], count: int, classes: int | None) -> Data:
        """Return the description that a model gets of `count` training items of this kind, each of `shape`."""
        return Data(self.name, torch.Size(shape), count, classes, self.levels)

    @abstractmethod
    def deliver(self, stored: Tensor) -> Tensor:
        """Return stored items as hooks receive them: a batch (B, ...) on the same device."""

    @abstractmethod
    def store(self, batch: Tensor) -> Tensor:
        """Return a hook's checked result in stored form: (B, ...), on the same device."""

    @abstractmethod
    def check(self, returned: object, expected: Sequence[int]) -> Tensor:
        """Return a hook's result as a plain tensor.

        Args:
            returned: the hook's result.
            expected: the shape (B, ...) that it must have.

        Raises:
            Misfit: it is not a tensor of this shape and of the kind's type, or has values out of range.
        """

    @abstractmethod
    def random(self, count: int, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Return `count` stored items whose entries are uniform over all levels, on the CPU."""

    def nearest(self, values: Tensor) -> Tensor:
        """Return the stored items nearest to real values on the scale of stored entries.

        Raises:
            TypeError: the kind's levels are symbols, with nothing in between.
        """
        raise TypeError(f"there is nothing between two {self.noun}")

    @abstractmethod
    def wholes(self) -> Iterator[Whole]:
        """Yield complete sets of tiny items of this kind, those that most models accept first."""

    def parts(self) -> Iterator[Whole]:
        """Yield some of the items of larger shapes, small ones first, with the lowest and the highest level among them.

        Their probabilities may sum to less than 1, never to more. Items of several entries are needed where those of
        one cannot show a fault, such as a mean over the entries in place of their sum.
        """
        return iter(())

    @abstractmethod
    def show(self, path: Path, items: Tensor) -> None:
        """Write stored items (N, ...) as one file for people to look at, completely or not at all."""

    @abstractmethod
    def show_pairs(self, path: Path, originals: Tensor, restored: Tensor) -> None:
        """Write stored items, each next to its reconstruction, as one file; completely or not at all."""

    def keep(self, stem: Path, items: Tensor) -> list[Path]:
        """Write stored items as separate files if a picture is not enough: clips, which people listen to.

        Args:
            stem: of the files' names.
            items: (N, ...); the kind chooses how many of them to write.

        Returns:
            The files; empty if `show` is enough.
        """
        return []

    @abstractmethod
    def shown(self, shape: torch.Size) -> int:
        """Return how many items of this shape one file shows."""
