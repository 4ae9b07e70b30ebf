"""What ends a process, and what does not, with a clock that the test sets and a process that it describes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from genbench.errors import InputError
from genbench.execution.limits import Limits, Watch, parse_bytes


class Described:
    """A process as psutil shows it, whose usage the test sets."""

    def __init__(self) -> None:
        self.resident, self.processor_s, self.state = 0, 0.0, psutil.STATUS_SLEEPING
        self.others: list[Any] = []

    def children(self, recursive: bool) -> list[Any]:
        return self.others

    def cpu_times(self) -> SimpleNamespace:
        return SimpleNamespace(user=self.processor_s, system=0.0)

    def memory_info(self) -> SimpleNamespace:
        return SimpleNamespace(rss=self.resident)

    def memory_full_info(self) -> SimpleNamespace:
        return SimpleNamespace(uss=self.resident)

    def status(self) -> str:
        return self.state


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Described:
    described = Described()
    monkeypatch.setattr(psutil, "Process", lambda pid: described)
    return described


def watch(limits: Limits, begin: float = 100.0) -> Watch:
    made = Watch(limits)
    made.follow(1, begin)
    return made


def test_time_counts_from_the_start_of_the_process(process: Described) -> None:
    limits = Limits(seconds=10)
    assert Watch(limits).breach(1e9) is None  # requested, but not started yet
    assert watch(limits).breach(109.0) is None
    assert watch(limits).breach(110.5) == "timed out after 10 s"


def test_memory_is_that_of_the_whole_family(process: Described) -> None:
    watched = watch(Limits(memory_bytes=1000 * 2**20))
    process.resident = 900 * 2**20
    assert watched.breach(101.0) is None
    child = Described()
    child.resident = 200 * 2**20
    process.others = [child]
    assert watched.breach(102.0) == "out of memory: used 1,100 MiB, and the limit is 1,000 MiB"


def run(watched: Watch, process: Described, seconds: int, *, uses: float = 0.0) -> list[str]:
    found = []
    for second in range(1, seconds + 1):
        process.processor_s += uses
        found += filter(None, [watched.breach(100.0 + second)])
    return found


def test_a_process_that_does_nothing_hangs(process: Described) -> None:
    found = run(watch(Limits(silent_s=20)), process, 30)
    assert found[0] == "hung: no step, no message and no use of the processor for 20 s"
    assert len(found) == 10


def test_a_slow_step_is_left_alone_and_said_to_be_at_work(process: Described) -> None:
    watched = watch(Limits(silent_s=20))
    assert run(watched, process, 100, uses=0.02) == []
    assert watched.silence(200.0) == 100.0


@pytest.mark.parametrize("memory_bytes", [None, 2**30])
def test_a_thread_that_only_looks_around_does_not_hide_a_hang(process: Described, memory_bytes: int | None) -> None:
    """Half a hundredth of a core, which the system counts as a whole hundredth of a second every other second."""
    watched = watch(Limits(silent_s=20, memory_bytes=memory_bytes))
    found = []
    for look in range(1, 250):
        process.processor_s += 0.01 if look % 20 == 5 else 0.0
        found += filter(None, [watched.breach(100.0 + 0.11 * look)])
    assert found[:1] == ["hung: no step, no message and no use of the processor for 20 s"]


@pytest.mark.parametrize("memory_bytes", [None, 2**30])
def test_a_slow_step_is_left_alone_however_often_memory_is_looked_at(
    process: Described, memory_bytes: int | None
) -> None:
    watched = watch(Limits(silent_s=20, memory_bytes=memory_bytes))
    found = []
    for tenth in range(1, 500):
        process.processor_s += 0.01 if tenth % 5 == 0 else 0.0
        found += filter(None, [watched.breach(100.0 + tenth / 10)])
    assert found == []
    assert watched.silence(150.0) == 50.0


def test_waiting_for_the_disk_is_no_hang(process: Described) -> None:
    process.state = psutil.STATUS_DISK_SLEEP
    assert run(watch(Limits(silent_s=20)), process, 100) == []


def test_a_message_is_a_sign_of_life(process: Described) -> None:
    watched = watch(Limits(silent_s=20))
    assert run(watched, process, 15) == []
    watched.heard(115.0)
    assert watched.silence(120.0) == 0.0
    assert watched.breach(130.0) is None
    assert watched.breach(136.0) is not None


@pytest.mark.parametrize("text", ["", "0", "-1GB", "GB", "1 EB", "1.2.3G", "nan", "9" * 400, "0.9", "9e9"])
def test_a_memory_limit_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError, match="cannot be read; write for example 2GB"):
        parse_bytes(text)


@pytest.mark.parametrize(("text", "count"), [("2GB", 2**31), ("1.5 GiB", 3 * 2**29), ("800m", 800 * 2**20), ("7", 7)])
def test_memory_limits(text: str, count: int) -> None:
    assert parse_bytes(text) == count
