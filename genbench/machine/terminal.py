"""Where standard error goes."""

from __future__ import annotations

import sys

__all__ = ["watched"]


def watched() -> bool:
    """Return whether standard error is a terminal; where a program has closed it, there is none at all."""
    return sys.stderr is not None and sys.stderr.isatty()
