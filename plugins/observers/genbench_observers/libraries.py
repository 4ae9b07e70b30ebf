"""Whether a tracker's own library is installed; found without importing it."""

from __future__ import annotations

import importlib.util

from genbench import GenbenchError

__all__ = ["require"]


def require(library: str) -> None:
    """Raise `GenbenchError` with the install command if a library is missing; the extra has the same name."""
    if importlib.util.find_spec(library) is None:
        raise GenbenchError(
            f"observer '{library}' needs the package {library}, which is not installed: "
            f"pip install 'genbench-observers[{library}]'"
        )
