"""Ranks that are forked from the process of a test, and end with it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

import pytest
from forked_ranks import still_watching

from genbench.cell.events import Emit
from genbench.cell.forked import Followers

Start = Callable[..., Followers]


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The codes with which this process would have ended; its children end as always."""
    own, end, codes = os.getpid(), os._exit, list[int]()

    def note(code: int) -> None:
        if os.getpid() != own:
            end(code)
        codes.append(code)
        if threading.current_thread() is threading.main_thread():  # what follows is not meant for it
            pytest.fail("this process would have ended")

    monkeypatch.setattr(os, "_exit", note)
    return codes


@pytest.fixture
def start(exits: list[int]) -> Iterator[Start]:
    """Forks ranks, which end with the test at the latest."""
    own, started = os.getpid(), list[Followers]()

    def begin(size: int, follow: Callable[[int, Connection], None], emit: Emit = print) -> Followers:
        try:
            started.append(Followers(size, follow, emit))
        finally:
            if os.getpid() != own:  # never a second pytest
                os.kill(os.getpid(), signal.SIGKILL)
        return started[-1]

    yield begin
    for followers in started:
        followers.close(None)
    assert not still_watching()
