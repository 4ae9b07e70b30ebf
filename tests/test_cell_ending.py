"""A training that is asked to end, in the process of the test: the signal that would end it is only noted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from genbench.cell.ending import Ending


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that would have ended this process; one that is handled is sent, and so is one to another process."""
    own, send, before, noted = os.getpid(), os.kill, signal.getsignal(signal.SIGTERM), list[int]()

    def kill(pid: int, number: int) -> None:
        if pid == own and signal.getsignal(number) is signal.SIG_DFL:
            noted.append(number)
        else:
            send(pid, number)

    monkeypatch.setattr(os, "kill", kill)
    yield noted
    signal.signal(signal.SIGTERM, before)


def ask() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("last_s", "into_s", "ends"),
    [
        (9.0, 0.0, False),  # its window ends soon enough
        (10.0, 0.0, False),  # just in time
        (10.5, 0.0, True),  # it does not
        (12.0, 1.5, True),
        (12.0, 2.0, False),
        (2.0, 30.0, False),  # overdue: it may end at any moment
    ],
)
def test_a_training_is_waited_for_if_its_window_ends_within_the_grace(
    ended: list[int], last_s: float, into_s: float, ends: bool
) -> None:
    clock = Clock()
    with Ending(10.0, clock) as ending:
        clock.now += last_s
        ending.window_ended()
        clock.now += into_s
        assert (ending.asked, ended) == (False, [])
        ask()
        assert (ending.asked, ended) == (True, [signal.SIGTERM] * ends)


def test_the_last_window_is_the_one_that_counts(ended: list[int]) -> None:
    clock = Clock()
    with Ending(10.0, clock) as ending:
        for seconds in (50.0, 3.0):
            clock.now += seconds
            ending.window_ended()
        ask()
        assert (ending.asked, ended) == (True, [])


def test_a_training_without_a_window_ends_as_if_it_did_not_handle_the_signal(ended: list[int]) -> None:
    with Ending(10.0, Clock()):
        ask()
        assert ended == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_process_that_a_plugin_forks_ends_immediately_and_the_training_goes_on(ended: list[int]) -> None:
    clock = Clock()
    with Ending(10.0, clock) as ending:
        clock.now += 1.0
        ending.window_ended()
        pid = os.fork()
        if pid == 0:
            try:
                ask()
            finally:
                os._exit(5)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
        assert (ending.asked, ended) == (False, [])
        ask()
        assert (ending.asked, ended) == (True, [])


def test_a_training_asked_in_its_last_window_ends_after_it(ended: list[int]) -> None:
    clock = Clock()
    with Ending(10.0, clock) as ending:
        ending.window_ended()
        ask()
        assert ended == []
    assert ended == [signal.SIGTERM]


def test_a_training_that_is_not_asked_leaves_the_handler_as_it_was(ended: list[int]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Ending(10.0, Clock()) as ending:
        ending.window_ended()
    assert (ending.asked, ended) == (False, [])
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_training_in_another_thread_leaves_the_handler_alone() -> None:
    def train() -> object:
        with Ending(10.0, Clock()) as ending:
            ending.window_ended()
            return signal.getsignal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train).result(5) == before
    assert signal.getsignal(signal.SIGTERM) == before
