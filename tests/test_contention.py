"""A training whose threads had to wait for a processor says so; one that had the machine to itself says nothing."""

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
        ({"1": (100, 50)}, {"1": (106, 52)}, "25%"),  # only what came after the start counts
        ({"1": (0, 0)}, {"1": (3, 1), "2": (3, 3)}, "40%"),  # with the threads that have started since
        ({"1": (0, 0), "2": (9, 9)}, {"1": (9, 1), "2": (9, 9)}, "10%"),
        ({"1": (0, 0)}, {"1": (9, 0.99)}, None),  # less than a tenth
        ({"1": (0, 0)}, {"1": (4.9, 4.9)}, None),  # too short to say anything
        ({"1": (0, 9)}, {"1": (0, 9)}, None),  # nothing has happened
    ],
)
def test_the_share_of_the_threads_time_is_told(
    tmp_path: Path, before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]], share: str | None
) -> None:
    contention = Contention(threads(tmp_path, before))
    threads(tmp_path, after)
    remark = contention.remark()
    assert (remark is None) == (share is None)
    if remark:
        assert remark.startswith(f"its threads spent {share} of their time waiting for a processor: something else ")
        assert "OMP_NUM_THREADS=1" in remark


def test_threads_that_have_ended_or_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    contention = Contention(threads(tmp_path, {"1": (0, 0), "2": (0, 0), "3": (0, 0)}))
    threads(tmp_path, {"1": (6, 3)})
    (tmp_path / "2" / "schedstat").unlink()
    (tmp_path / "3" / "schedstat").write_text("in another format\n")
    assert "spent 33% of" in str(contention.remark())


def test_where_the_kernel_says_nothing_there_is_no_remark(tmp_path: Path) -> None:
    assert Contention(tmp_path / "none").remark() is None


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel provides no scheduler statistics")
def test_a_process_that_shares_its_processor_has_waited() -> None:
    program = """
        import time
        from genbench.machine.contention import Contention
        contention = Contention()
        while time.process_time() < 0.4:
            pass
        print(contention.remark(least_s=0.1))
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
    assert "of their time waiting for a processor" in said
