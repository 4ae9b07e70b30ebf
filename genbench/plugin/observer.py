"""What a plugin of the family `observer` subclasses, and what it is told: the whole contract of an observer."""

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
        id: the same for as long as the benchmark's folder is there, and no other's: 12 letters and digits.
        name: of the folder, for people.
        directory: the folder, absolute.
        command: what runs the benchmark again.
        configuration: what all cells share, plain values by name.
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
        key: names the run, and no other of any benchmark: at most 64 letters, digits and dashes. A cell that goes on
            after an interrupt has the key that it had; one that is run again with `--fresh` has another.
        name: for people, and for a file: the label, the dataset and the seed.
        label: of the model, with its options.
        dataset: its name.
        seed: of the training.
        configuration: everything that the record says of the cell, as `options.beta` -> 4: numbers, texts, truth values
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
        losses: by name, the mean since the point before.
        numbers: quality by name; empty where it was not measured.
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
        status: a failed cell may be run again, and then goes on under the same key.
        step: of the last point of its curve; 0 where there is none.
        numbers: quality at the end by name. One that is not finite may be among them.
        standard_errors: of those numbers for which it is known: how far each would move were other samples drawn.
        recipes: of each number, everything that can change it.
        costs: throughput, memory, parameters and times, as `train_items_per_s.median` -> 2288.7.
        files: what shows samples, by what it shows, such as `samples` and `reconstructions`: images, texts or sound.
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
        step: of the last point of its curve; -1 where there is none.
        ended: whether its end was written, and it had not failed: then nothing more is to be told.
    """

    step: int = -1
    ended: bool = False


class Observer:
    """A plugin that is told how a benchmark goes on, and changes nothing. Override the methods that you need.

    They are called in the process that shows progress, one after the other, from one thread that does nothing else: so
    each may take its time, and training does not wait. Whatever a method raises is reported as one warning, and the
    observer is told nothing more in this run. The same command, run again, tells it what it lacks, for `begin_cell`
    returns what the tracker holds: a curve has no gap and no point twice, however often the run is killed.

    Example::

        class Printer(genbench.Observer):
            def points(self, cell, points):
                print(cell.name, points[-1].step, points[-1].losses)
    """

    def begin(self, benchmark: ObservedBenchmark) -> None:
        """Get ready: connect, make folders. Nothing else is called before."""

    def begin_cell(self, cell: ObservedCell) -> Held:
        """Open the run of a cell, the one that it has if it has one, and return what the tracker holds of it.

        Several cells may be open at once. A cell that was finished before is opened too, so that what an observer lacks
        can be told.
        """
        return Held()

    def points(self, cell: ObservedCell, points: Sequence[ObservedPoint]) -> None:
        """Take further points of a curve, at least one, in the order of their steps, all after `Held.step`.

        See that they are written when this returns: the process may be killed at any time.
        """

    def end_cell(self, cell: ObservedCell, end: ObservedEnd) -> None:
        """Take the end of a cell and close its run. What shows that it ended is best written last."""

    def end(self) -> None:
        """Let go of everything: the run has ended, or was interrupted. Cells that are open will go on another time."""
