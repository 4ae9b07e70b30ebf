"""What the items of each kind are called. Imports no torch, for it is what reports say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["NOUNS", "noun_of"]

NOUNS = {"image": "images", "text": "texts", "audio": "clips"}  # many of them


def noun_of(dataset: Mapping[str, Any]) -> str:
    """Return what many items of a dataset are called, from what a record says of it.

    >>> noun_of({"name": "digits", "kind": "image"}), noun_of({"name": "of a later version", "kind": "graph"})
    ('images', 'items')
    """
    return NOUNS.get(str(dataset.get("kind")), "items")
