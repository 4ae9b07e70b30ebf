"""The notebook that this process runs in, if any, for displaying output."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Protocol

__all__ = ["Display", "display_of_notebook"]


class Display(Protocol):
    """The signature of IPython's `display_pub.publish`."""

    def __call__(self, data: Mapping[str, str], *, transient: Mapping[str, str], update: bool) -> object: ...


def display_of_notebook() -> Display | None:
    """Return the function that shows an output in the notebook running this process; None if there is none."""
    ipython = sys.modules.get("IPython")  # always loaded in a notebook
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):  # IPython in a terminal shows bars like any terminal
        return None
    publish: Display = shell.display_pub.publish
    return publish
