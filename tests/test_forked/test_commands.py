"""Ranks that a cell forks, from its first process: what it tells them, what they answer, and how they end."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection

import pytest
from forked_ranks import heard, repeat, say, stay, still_watching, wait_for_ends, watchers

from genbench.cell import forked
from genbench.cell.forked import Followers, RankError
from genbench.training.ranks.group import LostRankError

Start = Callable[..., Followers]


def is_there(pid: int) -> bool:
    """Whether there is a process, or its exit code has not been collected yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_ranks_answer_in_order_and_end_when_asked(start: Start, exits: list[int]) -> None:
    events: list[object] = []
    followers = start(4, repeat, events.append)
    answers = followers.ask({"do": "say", "what": "é"})
    assert [(rank, what) for rank, _, what in answers] == [(rank, {"do": "say", "what": "é"}) for rank in (1, 2, 3)]
    pids = [pid for _, pid, _ in answers]
    assert len({os.getpid(), *pids}) == 4
    assert all(map(is_there, pids))
    assert followers.finish({"do": "end"}) == [[rank, pid, {"do": "end"}] for rank, pid in enumerate(pids, 1)]
    assert not any(map(is_there, pids))
    assert not still_watching(1.0)
    assert (events, exits) == ([], [])  # ended as they were asked to


def test_each_rank_can_be_told_something_else(start: Start) -> None:
    followers = start(4, repeat)
    for rank in (3, 1, 2):
        followers.tell(rank, {"only": rank})
    assert [(rank, what) for rank, _, what in followers.answers()] == [(rank, {"only": rank}) for rank in (1, 2, 3)]
    followers.tell_all({"to": "all"})
    assert [what for _, _, what in followers.answers()] == [{"to": "all"}] * 3


def test_a_cell_of_one_rank_forks_nothing(start: Start) -> None:
    followers = start(1, repeat)
    assert not watchers()
    assert followers.ask({"do": "say"}) == followers.finish({"do": "end"}) == []


def test_each_rank_is_watched_by_a_thread_that_does_not_keep_the_process_from_ending(start: Start) -> None:
    start(3, stay)
    assert sorted((thread.name, thread.daemon) for thread in watchers()) == [("rank 1", True), ("rank 2", True)]


def test_a_rank_that_has_ended_can_be_neither_told_nor_asked(start: Start) -> None:
    def follow(rank: int, pipe: Connection) -> None:
        if rank == 1:
            repeat(rank, pipe)

    followers = start(3, follow)
    assert followers._all[1].ended.wait(5)
    followers.tell(1, {"do": "say"})
    with pytest.raises(LostRankError, match=r"^rank 2 no longer listens$"):
        followers.tell(2, {"do": "say"})
    with pytest.raises(LostRankError, match=r"^rank 2 no longer answers$"):
        followers.answers()


def test_a_rank_that_does_not_end_when_asked_is_named(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def follow(rank: int, pipe: Connection) -> None:
        say(pipe, heard(pipe))
        stay(rank, pipe)

    monkeypatch.setattr(forked, "GRACE_S", 0.1)
    with pytest.raises(RankError, match=r"^rank 1 does not end; a hook must end whatever it starts$"):
        start(2, follow).finish({"do": "end"})


def test_how_a_rank_ends_after_its_last_answer_does_not_matter(start: Start, exits: list[int]) -> None:
    def follow(rank: int, pipe: Connection) -> None:
        say(pipe, heard(pipe))
        os._exit(3)  # in a thread that a hook has left behind, say

    events: list[object] = []
    followers = start(2, follow, events.append)
    assert followers.finish({"do": "end"}) == [{"do": "end"}]
    assert not still_watching(1.0)
    assert (events, exits) == ([], [])


@pytest.mark.parametrize("error", [None, ValueError("of the first rank")])
def test_ranks_still_running_are_ended_without_a_word(
    start: Start, exits: list[int], error: BaseException | None
) -> None:
    events: list[object] = []
    followers = start(3, repeat, events.append)
    pids = [pid for _, pid, _ in followers.ask({"do": "say"})]
    followers.close(error)
    wait_for_ends(followers)
    assert not any(map(is_there, pids))
    assert not still_watching()
    assert (events, exits) == ([], [])


def test_ranks_can_be_closed_again_and_after_their_end(
    start: Start, exits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[object] = []
    followers = start(2, repeat, events.append)
    followers.finish({"do": "end"})
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))  # the number may be another process's by now
    followers.close(None)
    followers.close(None)
    assert (killed, events, exits) == ([], [], [])


def test_a_rank_that_ends_while_it_is_being_ended_is_no_error(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    wait, collected, go_on = os.waitpid, threading.Event(), threading.Event()

    def slow(pid: int, options: int) -> tuple[int, int]:
        found = wait(pid, options)
        collected.set()
        go_on.wait(5)
        return found

    monkeypatch.setattr(os, "waitpid", slow)
    followers = start(2, lambda *_: None)
    assert collected.wait(5)
    followers.close(None)
    go_on.set()


def test_a_rank_holds_no_copy_of_the_first_rank_s_ends(start: Start) -> None:
    def follow(rank: int, pipe: Connection) -> None:
        with pytest.raises(EOFError):
            heard(pipe)

    followers = start(4, follow)
    for each in followers._all:
        each.commands.close()  # as the end of the first rank would
        assert each.ended.wait(2)


def warn_in_fork(monkeypatch: pytest.MonkeyPatch, category: type[Warning]) -> None:
    fork = os.fork

    def warn_and_fork() -> int:
        warnings.warn("this process is multi-threaded", category, stacklevel=2)
        return fork()

    monkeypatch.setattr(os, "fork", warn_and_fork)


def test_forking_beside_the_idle_threads_of_a_library_warns_of_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    warn_in_fork(monkeypatch, DeprecationWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        followers = start(2, repeat)
    assert [rank for rank, _, _ in followers.ask({"do": "say"})] == [1]


def test_any_other_warning_of_forking_is_shown(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    warn_in_fork(monkeypatch, RuntimeWarning)
    with pytest.warns(RuntimeWarning, match="multi-threaded"):
        start(2, repeat)
