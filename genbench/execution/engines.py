"""Which executor runs the cells of a benchmark."""

from __future__ import annotations

from genbench.execution.conditions import Conditions
from genbench.execution.executor import Executor
from genbench.execution.local import ForkServer

__all__ = ["executor_for"]


def executor_for(conditions: Conditions) -> Executor:
    """Return what runs cells under these conditions."""
    return ForkServer(conditions.jobs)
