"""Identity by content: plain values to a hash that is the same on every machine, and names that are safe in paths."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["canonical", "identity", "slug"]


def canonical(value: Any) -> bytes:
    """Return the one JSON text of plain values, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def identity(parts: Mapping[str, Any], length: int = 16) -> str:
    """Return the first `length` hexadecimal digits of the SHA-256 over plain values.

    >>> identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(canonical(parts)).hexdigest()[:length]


def slug(text: str) -> str:
    """Return a name that is safe in a path, and different for different texts.

    >>> slug("conv-vae")
    'conv-vae'
    >>> slug("../vae:beta=4")
    'vae-beta-4-baa912'
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:80]
    return plain if plain and plain == text else f"{plain}-{identity({'text': text}, 6)}"
