"""The names of a results table's columns that are no numbers, which no number of a plugin may take."""

from __future__ import annotations

import re
from dataclasses import fields

from genbench.config import Settings
from genbench.records.real_ratio import REAL_ABOVE_ZERO

__all__ = ["is_column"]

_OF_CELLS = frozenset(
    {
        *("id", "status", "model", "label", "role", "options", "summary", "dataset", "seed", "started_at"),
        *("finished_at", "stage", "reason", "kind", "name", "value", "step", "losses", "numbers"),
        *(field.name for field in fields(Settings)),
    }
)
_COSTS = frozenset(
    {
        *("steps", "items", "replayed", "parameters", "sample_batch_size", "flops", "flops_counted", "waited_share"),
        *("train_s", "elapsed_s", "evaluation_s", "before_training_s", "before_sampling_s", "before_training_flops"),
        *("train_flops_per_item", "sample_flops_per_item"),
        *("peak_allocated_bytes", "peak_reserved_bytes", "peak_resident_bytes"),
    }
)
# Columns whose names depend on the record, and those that stand beside a number.
_FAMILIES = re.compile(
    r"(dataset|plugin|environment|failure|metric_s)(_.*)?|.*_items_per_s(_.*)?|.*_(recipe|standard_error)"
    rf"|({'|'.join(REAL_ABOVE_ZERO)})_ratio"
)


def is_column(name: str) -> bool:
    """Return whether a column of the results table that is not itself a number has this name, or may have it.

    >>> is_column("seed"), is_column("fd_recipe"), is_column("environment_torch"), is_column("centroid_gap")
    (True, True, True, False)
    """
    return name in _OF_CELLS or name in _COSTS or _FAMILIES.fullmatch(name) is not None
