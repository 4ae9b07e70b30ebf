"""What items are: one file a kind says how an item is stored, delivered to a model, taken back from it and shown.

Nobody else asks which kind it is: code asks the kind to do the thing. Names and nouns come without torch, for reports.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from genbench.kinds.nouns import NOUNS

if TYPE_CHECKING:
    from genbench.kinds.kind import Kind

__all__ = ["NOUNS", "kind_named", "kind_of_shape"]

_BY_DIMENSIONS = {3: "image", 2: "audio", 1: "text"}


def kind_named(name: str) -> Kind:
    """Return the kind of a name in `NOUNS`, with the alphabet or the rate of data that have none of their own."""
    kind: Kind = importlib.import_module(f"genbench.kinds.{name}").KIND
    return kind


def kind_of_shape(shape: Sequence[int]) -> Kind:
    """Return the kind of items of a shape, which its dimensions tell: (C, H, W), (L,) of texts, (C, T) of clips.

    >>> [kind_of_shape(shape).noun for shape in ((1, 8, 8), (12,), (1, 4000))]
    ['images', 'texts', 'clips']
    """
    return kind_named(_BY_DIMENSIONS[len(shape)])
