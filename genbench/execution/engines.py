"""Selects the executor for the cells of a benchmark."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from genbench.config import Settings
from genbench.errors import InputError
from genbench.execution.conditions import Conditions
from genbench.execution.executor import Executor
from genbench.execution.local import ForkServer

__all__ = ["executor_for"]


def executor_for(conditions: Conditions, settings: Settings, tell: Callable[[str], None]) -> Executor:
    """Return the executor that runs cells under these conditions.

    Args:
        conditions: of the benchmark.
        settings: of its cells, which say what devices they take.
        tell: shows a line to the user.

    Raises:
        InputError: no executor fits these conditions.
    """
    if conditions.cluster is None:
        return ForkServer(conditions.jobs)
    from genbench.execution.cluster.address import Address, needs_extra

    if importlib.util.find_spec("distributed") is None:
        raise needs_extra()
    address = Address.parse(conditions.cluster)
    if ":" in settings.device:
        raise InputError(
            f"device {settings.device} names one GPU, but on a cluster each cell takes a free one; use --device cuda"
        )
    from genbench.execution.cluster.engine import DaskExecutor

    return DaskExecutor(address, conditions.shared, conditions.fresh, tell, settings.device, settings.ranks)
