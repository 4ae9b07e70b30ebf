"""Helpers for tests of forked ranks: what a rank does, and the threads that wait for its end."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import pytest

from genbench.cell.forked import Followers
from genbench.errors import GenbenchError
from genbench.training.ranks.group import LostRankError

PATIENCE_S = 5.0
BROKEN = "the exchange between the ranks failed: Connection closed by peer"


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("rank ")]


def still_watching(seconds: float = PATIENCE_S) -> list[threading.Thread]:
    """The threads that still wait for the end of a rank, after some patience."""
    for thread in watchers():
        thread.join(seconds)
    return watchers()


def wait_for_ends(followers: Followers) -> None:
    assert all(each.ended.wait(PATIENCE_S) for each in followers._all)


def heard(pipe: Connection) -> Any:
    assert pipe.poll(PATIENCE_S)
    return json.loads(pipe.recv_bytes())


def say(pipe: Connection, what: object) -> None:
    pipe.send_bytes(json.dumps(what).encode())


def repeat(rank: int, pipe: Connection) -> None:
    """A rank that repeats what it hears, until it is asked to end."""
    message = None
    while message != {"do": "end"}:
        message = heard(pipe)
        say(pipe, [rank, os.getpid(), message])


def stay(rank: int, pipe: Connection) -> None:
    """A rank that neither answers nor ends, until it is ended."""
    pipe.poll(PATIENCE_S)


def reason_of(followers: Followers) -> GenbenchError:
    """What a cell fails with when the first rank could not reach another."""
    lost = LostRankError(BROKEN)
    with pytest.raises(GenbenchError) as failure:
        followers.close(lost)
    assert failure.value.__cause__ is lost
    return failure.value


def raising(error: BaseException) -> Callable[..., None]:
    def follow(*_: object) -> None:
        raise error

    return follow
