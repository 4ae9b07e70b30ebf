"""How cells run: how many side by side, and within which limits. None of this is part of a cell's identity."""

from __future__ import annotations

from dataclasses import dataclass

from genbench.errors import InputError
from genbench.execution.limits import Limits

__all__ = ["DEFAULT", "Conditions"]

MOST_JOBS = 1024  # processes, each with its pipe and its log
MOST = 2**63  # of seconds and bytes
LEAST_MEMORY = 256 * 2**20  # bytes; less, and every cell fails as soon as torch is imported


@dataclass(frozen=True)
class Conditions:
    """How the cells of a benchmark run.

    Args:
        jobs: cells that run side by side, each with its share of the cores, or one of the GPUs in turn.
        timeout: seconds that one cell may take, or None.
        memory_limit: resident bytes that one cell may take, including its child processes, or None.
        hang_timeout: seconds without a step, a message or processor use after which a cell counts as hung.
        checkpoint_interval: seconds between checkpoints; None takes an interval that costs less than 1% of training.
        grace: seconds that an interrupted run waits for the last checkpoints of its cells.
        fresh: whether cells that have a record run again; their old results are moved to `replaced/`.
        plugins_from: distributions whose plugins may be loaded (`file` for model files), or None for all.
        cluster: the address or the scheduler file of a Dask cluster that runs the cells; None runs them here.
        shared: a folder, visible to all workers, for checkpoints; with None, checkpoints are lost with their worker.

    Raises:
        InputError: a value is invalid.
    """

    jobs: int = 1
    timeout: float | None = None
    memory_limit: int | None = None
    hang_timeout: float | None = 600.0
    checkpoint_interval: float | None = None
    grace: float = 10.0
    fresh: bool = False
    plugins_from: tuple[str, ...] | None = None
    cluster: str | None = None
    shared: str | None = None

    def __post_init__(self) -> None:
        if type(self.jobs) is not int or self.jobs < 1:
            raise InputError(f"jobs must be a whole number above zero, not {self.jobs!r}")
        if self.jobs > MOST_JOBS:
            raise InputError(f"jobs must be at most {MOST_JOBS:,}, since each is a process")
        if self.cluster is not None and self.jobs != 1:
            raise InputError(
                "jobs has no effect on a cluster, where each worker determines how many cells it takes; leave it out"
            )
        if self.shared is not None and self.cluster is None:
            raise InputError("shared has no effect without a cluster; leave it out")
        if self.shared is not None and not str(self.shared).strip():  # an unset variable: not the current folder
            raise InputError("shared is empty; name a folder that all workers see, or leave it out")
        for name in ("timeout", "memory_limit", "hang_timeout", "checkpoint_interval", "grace"):
            value = getattr(self, name)
            if value is None and name != "grace":
                continue
            if not isinstance(value, int | float) or not value > 0:
                raise InputError(f"{name.replace('_', ' ')} must be above zero, not {value!r}")
            if value >= MOST:
                raise InputError(f"{name.replace('_', ' ')} is too large; leave it out for no limit")
        if self.memory_limit is not None and self.memory_limit < LEAST_MEMORY:
            raise InputError(
                f"memory limit must be at least {LEAST_MEMORY >> 20} MB, about what a process needs to import torch, "
                f"not {self.memory_limit:,} bytes"
            )

    @property
    def limits(self) -> Limits:
        """The limits of one cell."""
        return Limits(self.timeout, self.memory_limit, self.hang_timeout)


DEFAULT = Conditions()
