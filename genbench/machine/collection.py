"""Python's collection of cycles, switched off for work that makes many objects and no cycles."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

__all__ = ["no_collection"]


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Do without the collection of cycles, which would visit all objects time and again.

    While modules are imported it takes a tenth of the time, and far more while a hundred thousand records are read.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
