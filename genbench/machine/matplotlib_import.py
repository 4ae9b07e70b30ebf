"""Importing matplotlib faster, in a process that reads none of its documentation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["undocumented"]


@contextlib.contextmanager
def undocumented() -> Iterator[None]:
    """Import matplotlib's artists, in this block, without the text about their properties that each docstring gets.

    Generating it is up to half of the import. The artists themselves are unchanged.
    """
    from matplotlib import artist

    generate = artist.kwdoc
    artist.kwdoc = lambda of: ""  # type: ignore[assignment]
    try:
        yield
    finally:
        artist.kwdoc = generate
