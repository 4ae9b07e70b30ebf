"""Starting points for a new plugin: three small models, one plugin of each other family, and `distribution`.

They are working modules, so they are checked like any other code; `distribution` copies their text into a new
distribution. Their formatting is the same at 88 columns, which is ruff's default, and at this project's 120.
"""

from __future__ import annotations

__all__ = ["FAMILIES", "MODELS"]

# Listed here instead of read from the folder, because the command line shows them in its help.
MODELS = ("ae", "gan", "vae")
FAMILIES = (*MODELS, "dataset", "extractor", "metric", "observer")
