"""`Executor`: what a benchmark asks of whatever runs its cells, and what it gets back."""

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
    """A model that the benchmark has found on its own machine.

    Args:
        spec: as the user names it, with its options.
        covered: the files of its code, or None where its module is gone.
        provenance: its distribution, version and source hash.
    """

    spec: ModelSpec
    covered: Coverage | None
    provenance: Mapping[str, str]


class Started(Protocol):
    """A cell that has been started; `outcome` is complete once `Executor.wait` has given it back."""

    @property
    def number(self) -> int:
        """What tells it from the others of its executor."""

    @property
    def outcome(self) -> Outcome:
        """How it ended."""

    def kill(self) -> None:
        """End it at once; `Executor.wait` gives it back as one that has failed."""


class Executor(Protocol):
    """Where cells run. It is a context manager: leaving the block ends every cell that still runs."""

    def __enter__(self) -> Self:
        """Get ready.

        Raises:
            InputError: it cannot be reached, or is not as it must be.
        """

    def __exit__(self, *_: object) -> None:
        """End what runs, and leave no process behind."""

    def prepare(self, models: Sequence[FoundModel]) -> None:
        """Make sure, before anything is trained, that models can run here as the benchmark has found them.

        Raises:
            InputError: they cannot.
        """

    def run(self, task: str, payload: dict[str, Any], on_event: OnEvent = ..., limits: Limits = UNLIMITED) -> Outcome:
        """Run one check to its end, and hand its events to `on_event`; a failure is an outcome."""

    def free(self) -> int:
        """Return how many cells could be started now."""

    def start_cell(
        self, payload: dict[str, Any], on_event: OnEvent, log: Path, limits: Limits, held: Sequence[int]
    ) -> Started:
        """Start one cell; there must be a free place.

        Args:
            payload: as `genbench.cell.run` takes it, without `slot` and `jobs`, which are the executor's to say.
            on_event: is called from within `wait`, with what the cell tells.
            log: where what the cell prints goes.
            limits: what the cell may take.
            held: file descriptors that stay open as long as something here may still write for the cell.
        """

    def ask_to_end(self, grace_s: float, asked: Callable[[], None]) -> None:
        """Ask every cell to end with a checkpoint, and follow what they do for `grace_s` seconds at the most.

        Args:
            asked: is called before they are asked, and not at all by an executor whose cells cannot be.
        """

    def wait(self, timeout: float | None = None) -> Sequence[Started]:
        """Follow what runs until a cell has ended, a place has become free, or `timeout` seconds have passed.

        Returns:
            The cells that have ended. What they left (record, pictures, log) lies in the benchmark's folder by then.
        """
