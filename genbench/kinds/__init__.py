"""What items are: one file per kind says how an item is stored, delivered to a model, converted back and shown.

No other code branches on the kind: it asks the kind to do the work. Names and nouns need no torch, for reports.
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
    """Return the kind with a name in `NOUNS`, with a default alphabet or rate for data that do not set one."""
    kind: Kind = importlib.import_module(f"genbench.kinds.{name}").KIND
    return kind


def kind_of_shape(shape: Sequence[int]) -> Kind:
    """Return the kind of items of a shape, given by its dimensions: (C, H, W), (L,) for texts, (C, T) for clips.

    >>> [kind_of_shape(shape).noun for shape in ((1, 8, 8), (12,), (1, 4000))]
    ['images', 'texts', 'clips']
    """
    return kind_named(_BY_DIMENSIONS[len(shape)])
