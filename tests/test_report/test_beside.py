"""Figures drawn by a copy of the process. A test's process has threads of its own, so copies are made in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from genbench.report import beside as module
from genbench.report import figure_files
from genbench.report.drawing import new_figure
from genbench.report.figure_files import FigureFiles

OUTCOMES = """
    import json, os, signal, threading, time
    import genbench.report
    from genbench.report.beside import beside

    here = os.getpid()
    found = {}

    def result(work):
        with beside(work) as given:
            return given()

    def process():
        return [str(os.getpid()).encode(), b""]

    alone = process()

    def no_copy_is_left():
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True

    def only_here():
        if os.getpid() != here:
            raise MemoryError
        return [b"done here"]

    def killed():
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return [b"done here"]

    print("once", end="")
    found["process"] = result(process) != alone
    large = [b"x" * 3_000_000, b"", b"y" * 2_000_000]
    found["large"] = result(lambda: large) == large
    found["raised there"] = result(only_here) == [b"done here"]
    found["killed"] = result(killed) == [b"done here"]
    try:
        result(lambda: 1 // 0)
    except ZeroDivisionError:
        found["raised everywhere"] = True

    begun = time.monotonic()
    try:
        with beside(lambda: time.sleep(60)):
            raise KeyError
    except KeyError:
        found["left early"] = time.monotonic() - begun < 30

    with beside(lambda: time.sleep(60)):
        pass
    found["not asked for"] = time.monotonic() - begun < 30
    found["none left"] = no_copy_is_left()
    found["descriptors"] = len(os.listdir("/proc/self/fd"))
    result(process)
    found["descriptors"] -= len(os.listdir("/proc/self/fd"))

    def none():
        raise BlockingIOError("no more processes")
    real, os.fork = os.fork, none
    found["no room"] = result(process) == alone
    os.fork = real

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system removes copies that have ended
    found["unwaited"] = result(process) != alone
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    waits = threading.Event()
    thread = threading.Thread(target=waits.wait)
    thread.start()
    found["beside a thread"] = result(process) == alone
    waits.set()
    thread.join()
    print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(OUTCOMES)],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("once{"), "a copy wrote what this process had not written yet"
    found: dict[str, Any] = json.loads(done.stdout.removeprefix("once"))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")
@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("process", True),
        ("large", True),
        ("raised there", True),
        ("killed", True),
        ("raised everywhere", True),
        ("left early", True),
        ("not asked for", True),
        ("none left", True),
        ("descriptors", 0),
        ("no room", True),
        ("unwaited", True),
        ("beside a thread", True),
    ],
)
def test_a_copy_does_the_work_and_leaves_nothing(outcomes: dict[str, Any], case: str, expected: Any) -> None:
    assert outcomes[case] == expected


ENDING = """
    import os, sys, time
    from genbench.report.beside import beside

    def work():
        print(os.getpid(), file=sys.stderr, flush=True)
        time.sleep(60)

    with beside(work):
        time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")
def test_a_copy_ends_with_a_process_that_is_killed() -> None:
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(ENDING)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        copy = psutil.Process(int(process.stderr.readline()))
        process.kill()
        process.wait()
        copy.wait(30)


def test_without_a_copy_the_work_is_done_when_its_result_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_THREADS", Path("/nonexistent"))
    order: list[str] = []

    def work() -> list[bytes]:
        order.append("work")
        return []

    with module.beside(work) as result:
        order.append("block")
        assert result() == []
    assert order == ["block", "work"]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_each_file_holds_its_own_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    given = []

    @contextmanager
    def halves(work: Any) -> Iterator[Any]:
        given.append(work())
        yield lambda: given[-1]

    monkeypatch.setattr(figure_files, "beside", halves)
    figures = FigureFiles(tmp_path)
    for place in range(count):
        file = figures.add(f"f{place}", lambda place=place: new_figure(2 + place, 2)[0])  # type: ignore[misc]
        assert file == f"figures/f{place}.png"
    assert not list(tmp_path.rglob("*.png")), "it was drawn before the page was composed"
    with figures.drawn():
        pass
    for place in range(count):
        with Image.open(tmp_path / f"figures/f{place}.png") as picture:
            assert picture.width == 260 + 130 * place
    assert len(given[0]) == (count + 1) // 2, "half of them are drawn beside"


def test_a_figure_that_fails_is_an_error_of_the_page(tmp_path: Path) -> None:
    figures = FigureFiles(tmp_path)
    figures.add("broken", lambda: 1 // 0)  # type: ignore[arg-type,return-value]
    with pytest.raises(ZeroDivisionError), figures.drawn():
        pass


def test_a_page_that_fails_writes_no_figure(tmp_path: Path) -> None:
    figures = FigureFiles(tmp_path)
    figures.add("x", lambda: new_figure(2, 2)[0])
    with pytest.raises(KeyError), figures.drawn():
        raise KeyError
    assert not list(tmp_path.rglob("*.png"))
