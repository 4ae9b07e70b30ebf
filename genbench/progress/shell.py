"""The notebook that this process runs in, if any, as far as something can be shown there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Protocol

__all__ = ["Display", "display_of_notebook"]


class Display(Protocol):
    """What IPython's `display_pub.publish` is."""

    def __call__(self, data: Mapping[str, str], *, transient: Mapping[str, str], update: bool) -> object: ...


def display_of_notebook() -> Display | None:
    """Return what shows an output in the notebook that runs this process; None where none does."""
    ipython = sys.modules.get("IPython")  # whoever runs in a notebook has it
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):  # a terminal's IPython has bars as any terminal
        return None
    publish: Display = shell.display_pub.publish
    return publish
