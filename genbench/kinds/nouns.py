"""What the items of each kind are called. Imports no torch, because reports use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["NOUNS", "counted", "noun_of"]

NOUNS = {"image": "images", "text": "texts", "audio": "clips"}  # plural


def counted(count: int, noun: str) -> str:
    """Return a number of things, whose plural is `noun`.

    >>> counted(1, "held-out images"), counted(1200, "clips")
    ('1 held-out image', '1,200 clips')
    """
    return f"{count:,} {noun.removesuffix('s') if count == 1 else noun}"


def noun_of(dataset: Mapping[str, Any]) -> str:
    """Return the plural name of a dataset's items, from its description in a record.

    >>> noun_of({"name": "digits", "kind": "image"}), noun_of({"name": "of a later version", "kind": "graph"})
    ('images', 'items')
    """
    return NOUNS.get(str(dataset.get("kind")), "items")
