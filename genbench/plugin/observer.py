"""The base class of observers, and the objects that they receive: the complete contract of an observer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["Held", "ObservedBenchmark", "ObservedCell", "ObservedEnd", "ObservedPoint", "Observer"]


@dataclass(frozen=True)
class ObservedBenchmark:
    """A benchmark as an observer sees it.

    Args:
        id: 12 letters and digits, unique, and constant for as long as the benchmark's folder exists.
        name: the folder's name, for people.
        directory: the folder, as an absolute path.
        command: the command that runs the benchmark again.
        configuration: the settings that all cells share, plain values by name.
    """

    id: str
    name: str
    directory: Path
    command: str
    configuration: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ObservedCell:
    """A cell as an observer sees it: one run of a tracker.

    Args:
        key: identifies the run uniquely across all benchmarks: at most 64 letters, digits and dashes. A cell that
            resumes after an interruption keeps its key; one that is run again with `--fresh` gets a new one.
        name: for people and for file names: the label, the dataset and the seed.
        label: of the model, with its options.
        dataset: its name.
        seed: of the training.
        configuration: the whole description of the cell in its record, as `options.beta` -> 4: numbers, texts, booleans
            and None.
    """

    key: str
    name: str
    label: str
    dataset: str
    seed: int
    configuration: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ObservedPoint:
    """One point of a cell's curve. Numbers are finite.

    Args:
        step: training steps so far; it increases from point to point.
        items: items trained on so far.
        elapsed_s: seconds of training so far.
        losses: by name, the mean since the previous point.
        numbers: quality by name; empty if it was not measured.
    """

    step: int
    items: int
    elapsed_s: float
    losses: Mapping[str, float] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ObservedEnd:
    """How a cell ended.

    Args:
        status: a failed cell may be run again, and then resumes under the same key.
        step: of the last point of its curve; 0 if there is none.
        numbers: quality at the end by name; some may not be finite.
        standard_errors: where known, how far each number would move if other samples were drawn.
        recipes: for each number, everything that can change it.
        costs: throughput, memory, parameters and times, as `train_items_per_s.median` -> 2288.7.
        files: images, texts or sound by their content, such as `samples` and `reconstructions`.
        failure: the stage, the reason and the traceback of a failed cell; the reason of one that is not applicable.
    """

    status: Literal["finished", "failed", "not applicable"]
    step: int = 0
    numbers: Mapping[str, float] = field(default_factory=dict)
    standard_errors: Mapping[str, float] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    failure: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """What a tracker already has of a cell.

    Args:
        step: of the last point of its curve; -1 if there is none.
        ended: whether its end was written and the cell had not failed; if so, nothing more is sent.
    """

    step: int = -1
    ended: bool = False


class Observer:
    """A plugin that receives the progress of a benchmark and changes nothing. Override the methods that you need.

    They are called in the process that shows progress, one after the other, from a dedicated thread, so each may take
    its time and training does not wait. An exception in a method is reported as one warning, and the observer receives
    nothing more in this run. Repeating the command sends what is missing, because `begin_cell` returns what the tracker
    holds: a curve has no gaps and no duplicate points, however often the run is killed.

    Example::

        class Printer(genbench.Observer):
            def points(self, cell, points):
                print(cell.name, points[-1].step, points[-1].losses)
    """

    def begin(self, benchmark: ObservedBenchmark) -> None:
        """Get ready: connect, create folders. Always called first."""

    def begin_cell(self, cell: ObservedCell) -> Held:
        """Open the run of a cell, the existing one if any, and return what the tracker holds of it.

        Several cells may be open at once. A cell that was finished before is also opened, so that the observer can
        receive what it lacks.
        """
        return Held()

    def points(self, cell: ObservedCell, points: Sequence[ObservedPoint]) -> None:
        """Take further points of a curve, at least one, in the order of their steps, all after `Held.step`.

        They must be written by the time this returns: the process may be killed at any time.
        """

    def end_cell(self, cell: ObservedCell, end: ObservedEnd) -> None:
        """Take the end of a cell and close its run. Write the marker that it has ended last."""

    def end(self) -> None:
        """Release everything: the run has ended or was interrupted. Cells that are still open will be resumed later."""
