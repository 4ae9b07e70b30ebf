"""Whether standard error is a terminal."""

from __future__ import annotations

import sys

__all__ = ["watched"]


def watched() -> bool:
    """Return whether standard error is a terminal; it does not exist at all if a program has closed it."""
    return sys.stderr is not None and sys.stderr.isatty()
