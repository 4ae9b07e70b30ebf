"""Identity by content: plain values to a hash that is the same on every machine, and names that are safe in paths."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

_SLUG_LENGTH = 60

__all__ = ["canonical", "identity", "slug"]


def canonical(value: Any) -> bytes:
    """Return the canonical JSON text of plain values, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def identity(parts: Mapping[str, Any], length: int = 16) -> str:
    """Return the first `length` hexadecimal digits of the SHA-256 over plain values.

    >>> identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(canonical(parts)).hexdigest()[:length]


def slug(value: object) -> str:
    """Return a file name for `value`: only lower-case letters, digits, `.`, `_` and `-`, and unique to this value.

    If anything had to change, eight digits of the value's SHA-256 are appended, so that two values never share a name,
    even on case-insensitive file systems.

    >>> slug("conv-vae")
    'conv-vae'
    >>> slug("vae:beta=4")
    'vae-beta-4-456d0146'
    """
    original = str(value)
    plain = re.sub(r"[^a-z0-9._-]+", "-", original.lower()).strip("-.")[:_SLUG_LENGTH]
    if (
        plain and plain == original and not re.search(r"-[0-9a-f]{8}$", plain)
    ):  # which would be the slug of another value
        return plain
    digest = hashlib.sha256(original.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain}-{digest}" if plain else digest
