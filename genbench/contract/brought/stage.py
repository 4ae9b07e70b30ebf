"""A simulated benchmark for an observer under test, including processes that are killed midway."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.contract.fault import Fault, calling
from genbench.observers.opening import made
from genbench.plugin.loading import Plugin
from genbench.plugin.observer import Held, ObservedBenchmark, ObservedCell, ObservedEnd, ObservedPoint, Observer

__all__ = ["MENDING", "Stage"]

MENDING = "return genbench.Held(step, ended) for what the tracker holds"
LIMIT_S = 120.0
"""As long as a run waits at its end for an observer that makes progress."""
# An image of one pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c63680000008200817700cd7d0000000049454e44ae426082"
)


@dataclass
class Stage:
    """A simulated benchmark for an observer.

    Args:
        plugin: the observer's.
        given: its options.
        folder: the working directory of the observer's calls, in which the benchmark's folder is created.
        home: the source of the plugin, to find the line that a fault names.
    """

    plugin: Plugin
    given: Mapping[str, Any]
    folder: Path
    home: str
    benchmark: ObservedBenchmark = field(init=False)
    moved: bool = field(default=False, init=False)  # whether a call has left another working directory

    def __post_init__(self) -> None:
        directory = Path(tempfile.mkdtemp(dir=self.folder, prefix="made-up-"))
        for name, content in (("records/00ff.json", b'{"id": "00ff"}\n'), ("samples/one.png", PNG)):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(content)
        (directory / "samples" / "text.txt").write_text("a | b\n")
        settings = {"budget": "200steps", "seeds": [0, 1], "target": [], "samples": None}
        self.benchmark = ObservedBenchmark(
            os.urandom(6).hex(), "made-up", directory, "genbench run -m made-up -d digits", settings
        )

    def cell(self, number: int = 0) -> ObservedCell:
        """Return one of its cells."""
        configuration: dict[str, Any] = {
            "model": "made-up",
            "options.beta": 4.5,
            "options.name": "ä | b",
            "compile": False,
            "seed": 0,
        }
        key = f"{self.benchmark.id}-{number:016x}"
        name = f"made-up-digits-seed{number}-{number:06x}"
        return ObservedCell(key, name, "made-up:beta=4.5", "digits", number, {**configuration, "weights": None})

    def end(self, status: Any = "finished") -> ObservedEnd:
        """Return the end of one of its cells."""
        if status == "failed":
            failure = {"stage": "training", "reason": "PluginError: loss is nan", "traceback": "one\n  two"}
            return ObservedEnd("failed", failure=failure)
        if status == "not applicable":
            return ObservedEnd("not applicable", failure={"reason": "takes only texts"})
        samples = self.benchmark.directory / "samples"
        return ObservedEnd(
            "finished",
            step=200,
            numbers={"fd": 3.5, "kid": -0.25, "c_t_p": float("nan"), "worst": float("inf")},
            standard_errors={"fd": 0.5},
            recipes={"fd": {"metric": "frechet_distance", "metric_version": 1, "profile": None}},
            costs={"train_s": 12.5, "train_items_per_s.median": 900.0},
            files={"samples": samples / "one.png", "samples, 1": samples / "text.txt"},
        )

    def begun(self) -> Observer:
        """Return a new observer that has begun, as in a new process."""
        with self.watched():
            observer = made(self.plugin, self.given)
            observer.begin(self.benchmark)
        return observer

    def begin_cell(self, observer: Observer, number: int = 0) -> Held:
        """Open a cell."""
        with self.watched():
            held = observer.begin_cell(self.cell(number))
        if not isinstance(held, Held):
            raise Fault("a genbench.Held from begin_cell", type(held).__name__, MENDING)
        return held

    def points(self, observer: Observer, steps: range, number: int = 0) -> None:
        """Report points of a cell."""
        told = [
            ObservedPoint(
                step, step * 64, step / 100, {"generator": 1 / (step + 1)}, {"fd": 9.0} if step % 50 == 0 else {}
            )
            for step in steps
        ]
        with self.watched():
            observer.points(self.cell(number), told)

    def end_cell(self, observer: Observer, status: str = "finished", number: int = 0) -> None:
        """Report the end of a cell."""
        with self.watched():
            observer.end_cell(self.cell(number), self.end(status))

    def finish(self, observer: Observer) -> None:
        """Report the end of the run."""
        with self.watched():
            observer.end()

    def tell_all(self) -> None:
        """Report a cell from beginning to end."""
        observer = self.begun()
        held = self.begin_cell(observer)
        if held != Held():
            raise Fault("Held() for a new cell", str(held), MENDING)
        for steps in (range(0, 50, 2), range(50, 200, 2)):
            self.points(observer, steps)
        self.end_cell(observer)
        self.finish(observer)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Call the observer in the stage's folder, and name its line if it raises."""
        with contextlib.chdir(self.folder), calling("the observer", self.home), _limited():
            folder = os.getcwd()
            yield
            self.moved |= os.getcwd() != folder


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Raise `Fault` in a block that does not end, by a signal, which only the main thread receives."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def expire(*_: Any) -> None:
        raise Fault("every method to return", f"one that did not within {LIMIT_S:g} s", "do not wait without a limit")

    handler, (remaining, interval) = (
        signal.signal(signal.SIGALRM, expire),
        signal.setitimer(signal.ITIMER_REAL, LIMIT_S),
    )
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, remaining, interval)
        signal.signal(signal.SIGALRM, handler)
