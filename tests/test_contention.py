"""The share of their time that threads have waited for a processor."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from genbench.machine.contention import Contention

SECOND = 10**9


def threads(folder: Path, times: dict[str, tuple[float, float]]) -> Path:
    """A folder as the kernel provides it, from the seconds that each thread has run and waited."""
    for name, (ran, waited) in times.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "schedstat").write_text(f"{round(ran * SECOND)} {round(waited * SECOND)} 17\n")
    return folder


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        ({"1": (100, 50)}, {"1": (106, 52)}, 0.25),  # only what came after the start counts
        ({"1": (0, 0)}, {"1": (3, 1), "2": (3, 3)}, 0.4),  # with the threads that have started since
        ({"1": (0, 0), "2": (9, 9)}, {"1": (9, 1), "2": (9, 9)}, 0.1),
        ({"1": (0, 0)}, {"1": (9, 0)}, 0.0),
        ({"1": (9, 9)}, {"1": (13.9, 13.9)}, None),  # too short to say anything
        ({"1": (0, 9)}, {"1": (0, 9)}, None),  # nothing has happened
    ],
)
def test_the_share_is_of_the_time_of_all_threads(
    tmp_path: Path, before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]], share: float | None
) -> None:
    contention = Contention(threads=threads(tmp_path, before))
    threads(tmp_path, after)
    assert contention.share() == (None if share is None else pytest.approx(share))


def test_threads_that_have_ended_or_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    contention = Contention(threads=threads(tmp_path, {"1": (0, 0), "2": (0, 0), "3": (0, 0)}))
    threads(tmp_path, {"1": (6, 3)})
    (tmp_path / "2" / "schedstat").unlink()
    (tmp_path / "3" / "schedstat").write_text("in another format\n")
    assert contention.share() == pytest.approx(1 / 3)


def test_where_the_kernel_says_nothing_there_is_no_share(tmp_path: Path) -> None:
    assert Contention(threads=tmp_path / "none").share() is None


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel provides no scheduler statistics")
def test_a_process_that_shares_its_processor_has_waited() -> None:
    program = """
        import time
        from genbench.machine.contention import Contention
        contention = Contention(least_s=0.1)
        while time.process_time() < 0.4:
            pass
        print(contention.share())
    """
    (processor, *_) = os.sched_getaffinity(0)
    pinned = {"preexec_fn": lambda: os.sched_setaffinity(0, [processor])}
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"], **pinned)
    try:
        said = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, **pinned
        ).stdout
    finally:
        other.kill()
        other.wait()
    assert 0.2 < float(said) < 1.0
