"""The contract of an observer, which is told of made-up benchmarks."""

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
    """An observer, and made-up benchmarks.

    All of them are told from one folder, in which relative paths of the observer's options lie: a library may keep what
    such a path meant when it was first used.
    """

    def __init__(self, plugin: Plugin, given: Mapping[str, Any]) -> None:
        super().__init__(plugin, given)
        self._folder = Path(tempfile.mkdtemp(prefix="genbench-observer-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def stage(self) -> Stage:
        """Return another made-up benchmark."""
        return Stage(self.plugin, self.given, self._folder, self.home)


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
