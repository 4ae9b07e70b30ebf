"""The metrics: pure functions on tensors, one method per file, and the table that lists them all.

The names in the table import without torch, so that a report can look up which direction is better; `Evidence` imports
torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from genbench.metrics.metric import Direction, Metric, Value
from genbench.metrics.not_measurable import NotMeasurable
from genbench.metrics.table import DIRECTIONS, METRICS

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence as Evidence
    from genbench.metrics.reference import ReferenceStatistics as ReferenceStatistics

__all__ = ["DIRECTIONS", "METRICS", "Direction", "Evidence", "Metric", "NotMeasurable", "ReferenceStatistics", "Value"]

_HOMES = {"Evidence": "genbench.metrics.evidence", "ReferenceStatistics": "genbench.metrics.reference"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'genbench.metrics' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
