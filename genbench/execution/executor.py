"""`Executor`: the interface between a benchmark and whatever runs its cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from genbench.config import ModelSpec
from genbench.execution.limits import UNLIMITED, Limits
from genbench.execution.running import Outcome
from genbench.plugin.source_hash import Coverage

__all__ = ["Executor", "FoundModel", "OnEvent", "Started"]

OnEvent = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class FoundModel:
    """A model as found on the machine of the benchmark.

    Args:
        spec: as specified by the user, with its options.
        covered: the files of its code, or None if its module is gone.
        provenance: its distribution, version and source hash.
    """

    spec: ModelSpec
    covered: Coverage | None
    provenance: Mapping[str, str]


class Started(Protocol):
    """A cell that has been started; `outcome` is complete once `Executor.wait` has returned it."""

    @property
    def number(self) -> int:
        """Its number, unique within its executor."""

    @property
    def outcome(self) -> Outcome:
        """How it ended."""

    def kill(self) -> None:
        """End it at once; `Executor.wait` returns it as failed."""


class Executor(Protocol):
    """Runs cells. It is a context manager: leaving the block ends every cell that is still running."""

    def __enter__(self) -> Self:
        """Get ready.

        Raises:
            InputError: it cannot be reached, or does not meet the requirements.
        """

    def __exit__(self, *_: object) -> None:
        """End all running cells, and leave no process behind."""

    def prepare(self, models: Sequence[FoundModel]) -> None:
        """Check, before anything is trained, that the models can run here exactly as the benchmark found them.

        Raises:
            InputError: they cannot.
        """

    def run(self, task: str, payload: dict[str, Any], on_event: OnEvent = ..., limits: Limits = UNLIMITED) -> Outcome:
        """Run one check to its end, and pass its events to `on_event`; a failure is an outcome, not an exception."""

    def free(self) -> int:
        """Return how many cells could be started now."""

    def start_cell(
        self, payload: dict[str, Any], on_event: OnEvent, log: Path, limits: Limits, held: Sequence[int]
    ) -> Started:
        """Start one cell; requires a free place.

        Args:
            payload: as `genbench.cell.run` takes it, without `slot` and `jobs`, which the executor sets.
            on_event: called from within `wait` with each event of the cell.
            log: the file for the output of the cell.
            limits: the limits of the cell.
            held: file descriptors that stay open as long as any process here may still write for the cell.
        """

    def ask_to_end(self, grace_s: float, asked: Callable[[], None]) -> None:
        """Ask every cell to end with a checkpoint, and follow them for at most `grace_s` seconds.

        Args:
            asked: called just before; not called by an executor that cannot ask its cells.
        """

    def wait(self, timeout: float | None = None) -> Sequence[Started]:
        """Follow the running cells until one has ended, a place has become free, or `timeout` seconds have passed.

        Returns:
            The cells that have ended. Their record, pictures and log are already in the benchmark's folder.
        """
