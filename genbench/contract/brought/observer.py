"""The contract of an observer: it is told of a made-up benchmark, as if processes were killed on the way."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.config import ObserverSpec
from genbench.contract.brought.suite import LOADS, Suite, Trial
from genbench.contract.check import Check
from genbench.contract.fault import Caution, Fault, calling
from genbench.observers.opening import made
from genbench.plugin.families import OBSERVER
from genbench.plugin.loading import Plugin
from genbench.plugin.observer import Held, ObservedBenchmark, ObservedCell, ObservedEnd, ObservedPoint, Observer

__all__ = ["SUITE"]

MENDING = "return genbench.Held(step, ended) of what the tracker has"
# A picture of one pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c63680000008200817700cd7d0000000049454e44ae426082"
)


class _Trial(Trial):
    """An observer, and made-up benchmarks.

    All of them are told from one folder, in which relative paths of the observer's options lie: a library may keep what
    such a path meant when it was first used.
    """

    def __init__(self, plugin: Plugin, given: Mapping[str, Any]) -> None:
        super().__init__(plugin, given)
        self._folder = Path(tempfile.mkdtemp(prefix="genbench-observer-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def stage(self) -> _Stage:
        """Return another made-up benchmark."""
        return _Stage(self.plugin, self.given, self._folder, self.home)


@dataclass
class _Stage:
    """A made-up benchmark, of which an observer is told.

    Args:
        plugin: the observer's.
        given: its options.
        folder: the observer is called in it, and the benchmark's own is made there.
        home: the source of the plugin, for the line that a fault names.
    """

    plugin: Plugin
    given: Mapping[str, Any]
    folder: Path
    home: str
    benchmark: ObservedBenchmark = field(init=False)

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
        """Return an end of one of its cells."""
        if status == "failed":
            failure = {"stage": "training", "reason": "PluginError: loss is nan", "traceback": "one\n  two"}
            return ObservedEnd("failed", failure=failure)
        if status == "not applicable":
            return ObservedEnd("not applicable", failure={"reason": "takes texts alone"})
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
        """Return a new observer that has begun, as a new process would make it."""
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
        """Tell points of a cell."""
        told = [
            ObservedPoint(
                step, step * 64, step / 100, {"generator": 1 / (step + 1)}, {"fd": 9.0} if step % 50 == 0 else {}
            )
            for step in steps
        ]
        with self.watched():
            observer.points(self.cell(number), told)

    def end_cell(self, observer: Observer, status: str = "finished", number: int = 0) -> None:
        """Tell the end of a cell."""
        with self.watched():
            observer.end_cell(self.cell(number), self.end(status))

    def finish(self, observer: Observer) -> None:
        """Tell the end of the run."""
        with self.watched():
            observer.end()

    def tell_all(self) -> None:
        """Tell a cell from its beginning to its end."""
        observer = self.begun()
        held = self.begin_cell(observer)
        if held != Held():
            raise Fault("that nothing is held of a cell that is new", str(held), MENDING)
        for steps in (range(0, 50, 2), range(50, 200, 2)):
            self.points(observer, steps)
        self.end_cell(observer)
        self.finish(observer)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Call the observer in the stage's folder, and name its line where it raises."""
        with contextlib.chdir(self.folder), calling("the observer", self.home):
            yield


def build(trial: _Trial) -> None:
    """build_observer takes its options and returns a genbench.Observer."""
    with trial.stage().watched():
        made(trial.plugin, trial.given)


def tells(trial: _Trial) -> None:
    """A cell is told from its beginning to its end, and each method returns."""
    stage = trial.stage()
    stage.tell_all()


def together(trial: _Trial) -> None:
    """Several cells are open at once; one has no curve, one fails, one is not applicable."""
    stage = trial.stage()
    observer = stage.begun()
    for number in range(4):
        stage.begin_cell(observer, number)
    for number in (0, 2):
        stage.points(observer, range(0, 20, 2), number)
    for number, status in ((3, "not applicable"), (2, "failed"), (1, "finished"), (0, "finished")):
        stage.end_cell(observer, status, number)
    stage.finish(observer)


def resumes(trial: _Trial) -> None:
    """A cell that goes on after its process was killed is known, with the last step of its curve."""
    stage = trial.stage()
    first = stage.begun()
    stage.begin_cell(first)
    stage.points(first, range(0, 50, 2))  # and no end: the process was killed
    second = stage.begun()
    held = stage.begin_cell(second)
    if held == Held():
        raise Caution(
            "begin_cell knows nothing of a cell that was told before: after an interrupt it is told the curve again"
        )
    if held != Held(48):
        raise Fault("Held(step=48, ended=False) of a curve to step 48", str(held), MENDING)
    stage.points(second, range(50, 100, 2))
    stage.finish(second)  # interrupted, this time with notice
    third = stage.begun()
    held = stage.begin_cell(third)
    if held != Held(98):
        raise Fault("Held(step=98, ended=False) after an interrupt at step 98", str(held), MENDING)
    stage.end_cell(third)
    stage.finish(third)


def ended(trial: _Trial) -> None:
    """A cell that has finished is known to have; one that failed may go on."""
    stage = trial.stage()
    observer = stage.begun()
    for number, status in ((0, "finished"), (1, "failed"), (2, "not applicable")):
        stage.begin_cell(observer, number)
        stage.points(observer, range(0, 20, 2), number)
        stage.end_cell(observer, status, number)
    stage.finish(observer)
    again = stage.begun()
    known = [stage.begin_cell(again, number) for number in range(3)]
    if known == [Held()] * 3:
        raise Caution(
            "begin_cell does not know what has ended: when the benchmark is run again it is told all of it again"
        )
    if [held.ended for held in known] != [True, False, True]:
        found = ", ".join(str(held.ended) for held in known)
        raise Fault(
            "ended=True, False and True of a finished, a failed and a cell that is not applicable", found, MENDING
        )
    stage.points(again, range(20, 40, 2), 1)
    stage.end_cell(again, "finished", 1)
    stage.finish(again)


def changes_nothing(trial: _Trial) -> None:
    """The benchmark's folder is as it was."""
    stage = trial.stage()
    before = _contents(stage.benchmark.directory)
    stage.tell_all()
    after = _contents(stage.benchmark.directory)
    changed = sorted(str(name) for name, _ in before.items() ^ after.items())
    if changed:
        raise Fault(
            "that the benchmark's folder stays as it is",
            f"that {', '.join(dict.fromkeys(changed))} changed",
            "write elsewhere, as to a folder that an option names",
        )


def surroundings(trial: _Trial) -> None:
    """The process is as it was: folder, environment, signals, output; and no thread keeps it from ending."""
    stage = trial.stage()
    before, threads = _surroundings(), set(threading.enumerate())
    stage.tell_all()
    for name, value in _surroundings().items():
        if value != before[name]:
            raise Fault(
                f"that {name} stays as it is", "that it was changed", "put back what you change before you return"
            )
    left = [each.name for each in set(threading.enumerate()) - threads if not each.daemon]
    if left:
        raise Fault(
            "that no thread keeps the process from ending",
            f"{', '.join(left)} running",
            "end it in `end`, or make it a daemon",
        )


def silent(trial: _Trial) -> None:
    """Nothing is printed, since progress is shown on the same terminal."""
    stage = trial.stage()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        stage.tell_all()
    if printed := (out.getvalue() + err.getvalue()).strip():
        raise Caution(f"it prints {printed.splitlines()[0]!r}: bars on the same terminal are torn")


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _surroundings() -> dict[str, Any]:
    return {
        "the working directory": os.getcwd(),
        "the environment": dict(os.environ),
        "the handling of signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "standard output": (sys.stdout, sys.stderr),
    }


SUITE = Suite(
    OBSERVER,
    (
        *LOADS,
        Check("build", build, needs=("loads",), once=True),
        *(
            Check(each.__name__, each, once=True)
            for each in (tells, together, resumes, ended, changes_nothing, surroundings, silent)
        ),
    ),
    _Trial,
    ObserverSpec.parse,
)
