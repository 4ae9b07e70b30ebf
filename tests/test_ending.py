"""Runs that are asked to end: training leaves a checkpoint if it can do so in time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.cell.ending import Ending
from genbench.training import checkpoint

TINY = (Path(__file__).parent / "models" / "tiny.py").read_text()
ENDED = -signal.SIGTERM
ASKED = r"stopping within 60 s, with a checkpoint if possible; Ctrl-C stops it now"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def in_a_child(act: Callable[[Ending, Clock], None], grace_s: float = 10.0) -> int:
    """Return the exit code of a child process that is asked to end in `act`: minus a signal, or 7 if it survives."""
    pid = os.fork()
    if pid == 0:
        try:
            clock = Clock()
            with Ending(grace_s, clock) as ending:
                act(ending, clock)
                os._exit(7 if ending.asked else 8)
        finally:
            os._exit(9)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def window(ending: Ending, clock: Clock, seconds: float) -> None:
    clock.now += seconds
    ending.window_ended()


def asked(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("last_s", "into_s", "code"),
    [
        (9.0, 0.0, 7),  # its window ends soon enough
        (11.0, 0.5, ENDED),  # it does not
        (11.0, 1.5, 7),
        (2.0, 30.0, 7),  # overdue: it may end at any moment
    ],
)
def test_only_a_training_that_can_save_itself_in_time_is_waited_for(last_s: float, into_s: float, code: int) -> None:
    def act(ending: Ending, clock: Clock) -> None:
        window(ending, clock, last_s)
        clock.now += into_s
        asked()

    assert in_a_child(act) == code


def test_a_training_without_a_window_has_nothing_to_save() -> None:
    assert in_a_child(asked) == ENDED


def test_an_ending_that_comes_after_the_last_window_ends_as_well() -> None:
    def act(ending: Ending, clock: Clock) -> None:
        window(ending, clock, 1.0)
        asked()
        ending.__exit__(None)
        os._exit(6)

    assert in_a_child(act) == ENDED


def test_a_process_forked_by_a_plugin_ends_immediately() -> None:
    def act(ending: Ending, clock: Clock) -> None:
        window(ending, clock, 1.0)
        pid = os.fork()
        if pid == 0:
            asked()
            os._exit(5)
        os._exit(4 if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == ENDED else 3)

    assert in_a_child(act) == 4


def test_the_previous_signal_handler_is_restored() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with Ending(1.0):
            pass
        asked()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A model whose two-step windows take 0.2 s."""
    path = tmp_path / "slow.py"
    path.write_text(TINY.replace("    loss.backward()\n", "    loss.backward()\n    __import__('time').sleep(0.1)\n"))
    return path


def begun(program: list[str], out: Path, model: Path, step: int) -> subprocess.Popen[str]:
    """Start a run, and return once its training has reached `step`."""
    settings = ["--budget", "200steps", "--seeds", "1", "--no-controls", "--evaluations", "1", "--samples", "100"]
    command = [*program, "run", "-m", str(model), "--out", str(out), *settings, "--metrics", "fd", "--grace", "60"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    marks = out.parent / "steps"
    while not marks.exists() or marks.stat().st_size < step:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    return process


def test_an_interrupted_run_leaves_a_checkpoint_of_its_last_window(program: list[str], slow: Path) -> None:
    out, marks = slow.parent / "out", slow.parent / "steps"
    slow.write_text(
        slow.read_text().replace(
            "    loss.backward()\n", f"    open({str(marks)!r}, 'a').write('.')\n    loss.backward()\n"
        )
    )
    process = begun(program, out, slow, 7)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    process.send_signal(signal.SIGTERM)  # a second one changes nothing: two parts of a batch system may each send one
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    steps = marks.stat().st_size - 1  # an extra first step finds out whether its FLOPs can be counted
    (path,) = (out / "checkpoints").iterdir()
    assert checkpoint.load(path)["progress"]["step"] == steps  # no training was lost
    assert re.search(
        rf"  slow on digits, seed 0: {ASKED}\n  slow on digits, seed 0: stops as requested, after step {steps}\n",
        told,
    )
    assert told.endswith("genbench: interrupted; 0 of 1 cells are done; repeat the command to resume\n"), told
    assert not (out / "records").exists()
