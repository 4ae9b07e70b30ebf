"""`Kind`: what the harness asks of a kind of items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from genbench.kinds.nouns import NOUNS
from genbench.plugin.data import Data

__all__ = ["Kind", "Misfit"]


class Misfit(ValueError):  # noqa: N818  # says what was found, and becomes the error of whoever asked
    """What a model returned is no batch of items; the text says what it is and what was expected."""


class Kind(ABC):
    """One kind of items. It has no state: every method depends on its arguments alone.

    Attributes:
        name: `image`, `text` or `audio`.
        levels: how many values an entry of a stored item can take, where every dataset of the kind has the same.
        rounding: how what a model returns becomes what is stored, for the recipes of numbers.
        suffix: of the files that `show` writes.
    """

    name: str
    levels: int
    rounding: str
    suffix: str

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

    @abstractmethod
    def nearest(self, values: Tensor) -> Tensor:
        """Return the stored items nearest to real values on the scale of the levels, from 0 on."""

    @abstractmethod
    def show(self, path: Path, items: Tensor) -> None:
        """Write stored items (N, ...) as one file that people look at, whole or not at all."""

    @abstractmethod
    def shown(self, shape: torch.Size) -> int:
        """Return how many items of this shape one file shows."""
