"""The contract for observers, which follow simulated benchmarks."""

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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genbench.config import ObserverSpec
from genbench.contract.brought.stage import MENDING, Stage
from genbench.contract.brought.suite import LOADS, Suite, Trial
from genbench.contract.check import Check
from genbench.contract.fault import Caution, Fault
from genbench.observers.opening import made
from genbench.plugin.families import OBSERVER
from genbench.plugin.loading import Plugin
from genbench.plugin.observer import Held

__all__ = ["SUITE"]


class _Trial(Trial):
    """An observer, and simulated benchmarks.

    All of them run in one working directory, against which relative paths in the observer's options are resolved: a
    library may remember what such a path meant when it was first used.
    """

    def __init__(self, plugin: Plugin, given: Mapping[str, Any]) -> None:
        super().__init__(plugin, given)
        self._folder = Path(tempfile.mkdtemp(prefix="genbench-observer-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def stage(self) -> Stage:
        """Return another simulated benchmark."""
        return Stage(self.plugin, self.given, self._folder, self.home)


def build(trial: _Trial) -> None:
    """build_observer takes its options and returns a genbench.Observer."""
    with trial.stage().watched():
        made(trial.plugin, trial.given)


def tells(trial: _Trial) -> None:
    """The observer follows a cell from beginning to end, and every method returns within two minutes."""
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
    """A cell that resumes after its process was killed is recognised, with the last step of its curve."""
    stage = trial.stage()
    first = stage.begun()
    stage.begin_cell(first)
    stage.points(first, range(0, 50, 2))  # without an end: the process was killed
    second = stage.begun()
    held = stage.begin_cell(second)
    if held == Held():
        raise Caution(
            "begin_cell does not recognise a cell that it has received before: after an interrupt, it receives the "
            "whole curve again"
        )
    if held != Held(48):
        raise Fault("Held(step=48, ended=False) for a curve up to step 48", str(held), MENDING)
    stage.points(second, range(50, 100, 2))
    stage.finish(second)  # interrupted, but this time the observer is notified
    third = stage.begun()
    held = stage.begin_cell(third)
    if held != Held(98):
        raise Fault("Held(step=98, ended=False) after an interrupt at step 98", str(held), MENDING)
    stage.end_cell(third)
    stage.finish(third)


def ended(trial: _Trial) -> None:
    """A finished cell is recognised as ended; a failed one may resume."""
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
            "begin_cell does not recognise cells that have ended: when the benchmark is run again, it receives all of "
            "them again"
        )
    if [held.ended for held in known] != [True, False, True]:
        found = ", ".join(str(held.ended) for held in known)
        raise Fault("ended=True, False and True for a finished, a failed and a not applicable cell", found, MENDING)
    stage.points(again, range(20, 40, 2), 1)
    stage.end_cell(again, "finished", 1)
    stage.finish(again)


def changes_nothing(trial: _Trial) -> None:
    """The benchmark's folder is unchanged."""
    stage = trial.stage()
    before = _contents(stage.benchmark.directory)
    stage.tell_all()
    after = _contents(stage.benchmark.directory)
    changed = sorted(str(name) for name, _ in before.items() ^ after.items())
    if changed:
        raise Fault(
            "the benchmark's folder to stay unchanged",
            f"that {', '.join(dict.fromkeys(changed))} changed",
            "write elsewhere, such as to a folder that an option names",
        )


def surroundings(trial: _Trial) -> None:
    """Working directory, environment, signals and output are unchanged, and no thread keeps the process alive."""
    stage = trial.stage()
    before, threads = _surroundings(), set(threading.enumerate())
    stage.tell_all()
    changed = [name for name, value in _surroundings().items() if value != before[name]]
    # The stage itself goes back to where it was after each call.
    for name in ["the working directory"] * stage.moved + changed:
        raise Fault(f"{name} to stay unchanged", "that it changed", "restore what you change before you return")
    left = [each.name for each in set(threading.enumerate()) - threads if not each.daemon]
    if left:
        raise Fault(
            "no thread that keeps the process alive",
            f"{', '.join(left)} running",
            "stop it in `end`, or make it a daemon",
        )


def silent(trial: _Trial) -> None:
    """Nothing is printed, because progress is shown on the same terminal."""
    stage = trial.stage()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        stage.tell_all()
    if printed := (out.getvalue() + err.getvalue()).strip():
        raise Caution(f"it prints {printed.splitlines()[0]!r}, which disrupts the progress bars on the same terminal")


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
