"""What items are: one file a kind says how an item is stored, delivered to a model, taken back from it and shown.

Nobody else asks which kind it is: code asks the kind to do the thing. Names and nouns come without torch, for reports.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from genbench.kinds.nouns import NOUNS

if TYPE_CHECKING:
    from genbench.kinds.kind import Kind

__all__ = ["NOUNS", "kind_named"]


def kind_named(name: str) -> Kind:
    """Return the kind of a name in `NOUNS`; of texts, those over the alphabet that data without one of its own have."""
    kind: Kind = importlib.import_module(f"genbench.kinds.{name}").KIND
    return kind
