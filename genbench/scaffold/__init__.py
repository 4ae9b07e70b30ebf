"""A start for a new plugin: three small models, one of everything else, and what makes a distribution of one of them.

They are modules that run, so they are checked like any other code; `distribution` copies their text as it is.
They are formatted to read the same at 88 columns, which is ruff's default, and at this project's 120.
"""

from __future__ import annotations

__all__ = ["FAMILIES", "MODELS"]

# Here and not read from the folder, since the command line shows them in its help.
MODELS = ("ae", "gan", "vae")
FAMILIES = (*MODELS, "dataset", "extractor", "metric", "observer")
