"""How cells run: side by side, within which limits. Nothing here is part of a cell's identity."""

from __future__ import annotations

from dataclasses import dataclass

from genbench.errors import InputError
from genbench.execution.limits import Limits

__all__ = ["DEFAULT", "Conditions"]

MOST_JOBS = 1024  # processes, each with its pipe and its log
MOST = 2**63  # of seconds and bytes


@dataclass(frozen=True)
class Conditions:
    """How the cells of a benchmark run.

    Args:
        jobs: cells side by side, each with its share of the cores, or a GPU in turn.
        timeout: seconds that one cell may take, or None.
        memory_limit: resident bytes that one cell may take, with all that it starts, or None.
        hang_timeout: seconds without a step, a message or use of the processor after which a cell counts as hung.
        checkpoint_interval: seconds between checkpoints; None takes an interval that costs less than 1% of training.
        grace: seconds that a run which is interrupted waits for the last checkpoints of its cells.
        fresh: whether cells that have a record run again; what was there is moved to `replaced/`.
        plugins_from: distributions whose plugins may be loaded (`file` for model files), or None for all.
        cluster: the address of a Dask scheduler on whose workers cells run, or its scheduler file; None runs them here.
        shared: a folder that all workers see, in which they keep checkpoints; None keeps none beyond a worker's end.

    Raises:
        InputError: a value that cannot be.
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
            raise InputError(f"jobs must be {MOST_JOBS:,} at most, for each is a process of its own")
        if self.cluster is not None and self.jobs != 1:
            raise InputError(
                "jobs has no effect on a cluster, whose workers say how many cells they take; leave it out"
            )
        if self.shared is not None and self.cluster is None:
            raise InputError("shared has no effect without a cluster; leave it out")
        for name in ("timeout", "memory_limit", "hang_timeout", "checkpoint_interval", "grace"):
            value = getattr(self, name)
            if value is None and name != "grace":
                continue
            if not isinstance(value, int | float) or not value > 0:
                raise InputError(f"{name.replace('_', ' ')} must be above zero, not {value!r}")
            if value >= MOST:
                raise InputError(f"{name.replace('_', ' ')} is too large; leave it out where there is to be no limit")

    @property
    def limits(self) -> Limits:
        """What one cell may take."""
        return Limits(self.timeout, self.memory_limit, self.hang_timeout)


DEFAULT = Conditions()
