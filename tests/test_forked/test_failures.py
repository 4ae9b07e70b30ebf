"""A rank that ends too early: the cell fails, and says why, even where its own process waits for that rank."""

from __future__ import annotations

import os
import queue
import select
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any
from unittest import mock

import pytest
from forked_ranks import BROKEN, heard, raising, reason_of, say, stay, still_watching, wait_for_ends

from genbench.cell import forked
from genbench.cell.forked import Followers, RankError
from genbench.errors import GenbenchError, PluginError
from genbench.training.ranks.group import LostRankError

Start = Callable[..., Followers]
Act = Callable[[], object]


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The exit codes of the ranks that have ended."""
    wait, found = os.waitpid, list[int]()

    def note(pid: int, options: int) -> tuple[int, int]:
        ended = wait(pid, options)
        found.append(os.waitstatus_to_exitcode(ended[1]))
        return ended

    monkeypatch.setattr(os, "waitpid", note)
    return found


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (ValueError("bad luck\nand more of it"), RankError, "rank 1 raised ValueError: bad luck"),
        (PluginError("gan: the loss became nan"), PluginError, "gan: the loss became nan (rank 1)"),
        (SystemExit(0), RankError, "rank 1 raised SystemExit: 0"),
        (KeyboardInterrupt(), RankError, "rank 1 raised KeyboardInterrupt: "),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_a_rank_raises_is_what_its_cell_fails_with(
    start: Start,
    exits: list[int],
    codes: list[int],
    capfd: pytest.CaptureFixture[str],
    error: BaseException,
    kind: type[GenbenchError],
    reason: str,
) -> None:
    events: list[object] = []
    failure = reason_of(start(2, raising(error), events.append))
    assert (type(failure), str(failure)) == (kind, reason)
    (note,) = failure.__notes__
    assert note.startswith("On rank 1:\nTraceback (most recent call last):\n  File ")
    assert note.endswith("".join(traceback.format_exception_only(error)))
    assert note.removeprefix("On rank 1:\n") in capfd.readouterr().err
    assert not still_watching()
    assert codes == [1]
    assert (events, exits) == ([], [])  # it was heard in time


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda: None, "rank 1 ended with exit code 0"),
        (lambda: os._exit(3), "rank 1 ended with exit code 3"),
        (
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            f"rank 1 was ended by a signal ({signal.strsignal(signal.SIGKILL)})",
        ),
    ],
    ids=["return", "exit", "kill"],
)
def test_a_rank_that_ends_without_a_word_is_named_with_its_exit_code(start: Start, end: Act, reason: str) -> None:
    failure = reason_of(start(2, lambda *_: end()))
    assert (type(failure), str(failure)) == (RankError, reason)
    assert not hasattr(failure, "__notes__")  # there is no traceback


@pytest.mark.parametrize("said", [b"{not JSON", b"\xff", b"[" * 50_000, b"[1]", b'{"reason": "mine"}'])
def test_what_a_plugin_writes_in_place_of_a_report_is_not_taken_for_one(
    start: Start, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    pipe, written = os.pipe, []

    def note() -> tuple[int, int]:
        written.append(pipe())
        return written[-1]

    def follow(*_: object) -> None:
        os.write(written[-1][1], said)
        os._exit(3)

    monkeypatch.setattr(os, "pipe", note)
    failure = reason_of(start(2, follow))
    assert (type(failure), str(failure)) == (RankError, "rank 1 ended with exit code 3")


def test_a_rank_that_the_model_has_waited_for_is_taken_to_have_ended_well(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = os.waitpid

    def wait_too_late(pid: int, options: int) -> tuple[int, int]:
        wait(pid, options)
        return wait(pid, options)

    monkeypatch.setattr(os, "waitpid", wait_too_late)
    assert str(reason_of(start(2, lambda *_: os._exit(3)))) == "rank 1 ended with exit code 0"


def test_processes_that_a_rank_leaves_behind_do_not_hide_its_end(start: Start) -> None:
    gate, opener = os.pipe()

    def follow(*_: object) -> None:
        if os.fork() == 0:
            select.select([gate], [], [], 10)
        os._exit(3)

    try:
        assert str(reason_of(start(2, follow))) == "rank 1 ended with exit code 3"
    finally:
        os.write(opener, b"go")
        os.close(opener)
        os.close(gate)


def left_waiting(pipe: Connection) -> None:
    """Fail as a rank that another has left waiting, but tell the first rank instead of pausing before that."""
    mock.patch.object(time, "sleep", lambda seconds: say(pipe, seconds)).start()  # in this process only
    raise LostRankError(BROKEN)


def test_a_rank_left_waiting_pauses_until_the_one_at_fault_has_been_reported(start: Start) -> None:
    followers = start(2, lambda _, pipe: left_waiting(pipe))
    assert followers.answers() == [2 * forked.GRACE_S]
    assert str(reason_of(followers)) == f"rank 1 raised LostRankError: {BROKEN}"


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (raising(ValueError("bad luck")), "rank 2 raised ValueError: bad luck"),
        (raising(PluginError("gan: nan")), "gan: nan (rank 2)"),
        (lambda: os._exit(3), "rank 2 ended with exit code 3"),
    ],
    ids=["other", "plugin", "exit"],
)
def test_of_several_failures_the_one_that_caused_the_others_is_reported(start: Start, fail: Act, reason: str) -> None:
    followers = start(4, lambda rank, pipe: fail() if rank == 2 else left_waiting(pipe))
    wait_for_ends(followers)
    assert str(reason_of(followers)) == reason


def test_a_failure_is_not_confused_with_the_end_of_the_ranks_that_it_ends(start: Start) -> None:
    followers = start(3, lambda rank, pipe: stay(rank, pipe) if rank == 1 else os._exit(3))
    assert followers._all[1].ended.wait(5)
    followers.close(None)
    wait_for_ends(followers)
    assert str(reason_of(followers)) == "rank 2 ended with exit code 3"


def test_a_rank_that_neither_answers_nor_ends(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked, "GRACE_S", 0.1)
    failure = reason_of(start(2, stay))
    assert (type(failure), str(failure)) == (RankError, "a rank does not answer, and its process has not ended")


def test_a_failure_that_the_first_rank_does_not_hear_of_ends_its_process(
    start: Start, exits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be waiting for the rank in an exchange that never returns."""
    monkeypatch.setattr(forked, "GRACE_S", 0.1)
    events: queue.Queue[tuple[dict[str, Any], list[int]]] = queue.Queue()
    start(2, raising(PluginError("gan: nan")), lambda event: events.put((event, [*exits])))
    told = {"kind": "failure", "type": "PluginError", "reason": "gan: nan (rank 1)", "traceback": ""}
    assert events.get(timeout=5) == ({"event": "error", **told}, [])  # told first
    assert not still_watching()
    assert exits == [1]
    assert events.empty()


def test_a_failure_after_the_last_message_is_one_too(start: Start) -> None:
    def follow(rank: int, pipe: Connection) -> None:
        say(pipe, heard(pipe))
        raise ValueError("too late")

    followers = start(2, follow)
    assert followers.finish({"do": "end"}) == [{"do": "end"}]
    assert str(reason_of(followers)) == "rank 1 raised ValueError: too late"
