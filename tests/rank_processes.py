"""Ranks of a cell in other processes than the test's: how they are forked, talk, and end in any case."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import socket
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import pytest
import torch
import torch.distributed as dist
from rank_cells import CPU, point_of, training_of

from genbench.cell.follower import follow
from genbench.cell.ranks import Ranks
from genbench.machine.ending import leave
from genbench.plugin import world
from genbench.training import loop
from genbench.training.ranks import group
from genbench.training.ranks.lockstep import Lockstep

PATIENCE_S = 20  # the longest that one rank waits for another, and that a forked one lives


def say(pipe: Connection, what: Any) -> None:
    pipe.send_bytes(json.dumps(what).encode())


def hear(pipe: Connection) -> Any:
    assert pipe.poll(PATIENCE_S), "nothing was said"
    return json.loads(pipe.recv_bytes())


@contextmanager
def beside(act: Callable[[Connection, socket.socket], None]) -> Iterator[tuple[Connection, socket.socket]]:
    """Fork a process that acts as another rank; give this one's end of the pipe between them, and the listener."""
    own, other = multiprocessing.Pipe()
    with own, socket.create_server(("127.0.0.1", 0)) as listener:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # about threads: libraries start idle ones
            pid = os.fork()
        if pid == 0:
            own.close()
            _be(lambda: act(other, listener))
        other.close()
        try:
            yield own, listener
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        assert os.waitpid(pid, 0)[1] == 0, "the other rank failed"


def _be(act: Callable[[], None]) -> None:
    code = 1
    try:
        mortal()
        act()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        leave(code)


def mortal() -> None:
    """Have a forked rank end at last, whatever it waits for, and compute with the only thread that it has."""
    signal.alarm(PATIENCE_S)
    torch.set_num_threads(1)


@contextmanager
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave nothing of a test's ranks behind in its process."""
    monkeypatch.setattr(group, "TIMEOUT_S", float(PATIENCE_S))
    with world.kept():
        try:
            yield
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()
                # Torch keeps a parameter's hooks, which lead to the group, where no collection looks; and its threads
                # would be waited for in each process that is forked from this one.
                for each in gc.get_objects():
                    if type(each) is group.ProcessGroup:
                        vars(each).clear()
    for thread in threading.enumerate():
        if thread.name.startswith("rank "):  # it watches a process that has ended
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


class First:
    """The first rank, once it has built its model and joined the other."""

    def __init__(self, given: dict[str, Any], pipe: Connection, listener: socket.socket) -> None:
        training = training_of(given)
        self.pipe = pipe
        self.model, self.batches = training.follow(8, resumed=False), training.batches()
        self.group = group.ProcessGroup(0, 2, CPU, listener)
        self.lockstep = Lockstep(training.plugin, training.plugin.hook.train_step, self.model, self.group)

    def window(self, first: int, steps: int) -> Any:
        """Take steps with the other; return its answer."""
        loop.window(self.lockstep.step, self.model, self.batches, first, steps, "fp32")
        self.lockstep.settle(first + steps - 1)
        return hear(self.pipe)

    def copies(self, value: float) -> None:
        """Have both begin at a point."""
        with torch.no_grad():
            point_of(self.model).fill_(value)
        self.lockstep.copy_from_first()


def joins(
    given: dict[str, Any], then: Callable[[First], Any] = lambda first: None
) -> Callable[[Connection, socket.socket], None]:
    """A first rank that joins as soon as the other has built its model, and at last says what it has found."""

    def act(pipe: Connection, listener: socket.socket) -> None:
        assert hear(pipe) == {}
        say(pipe, then(First(given, pipe, listener)))

    return act


def ranks_of(given: dict[str, Any], size: int = 2) -> Ranks:
    """The ranks of a cell, which end some time even if the first does not ask for it."""

    def bounded(rank: int, pipe: Any, listener: socket.socket) -> None:
        mortal()
        follow(given, rank, pipe, listener)

    return Ranks(size, bounded, print)


def waiting(rank: int, pipe: Any, listener: socket.socket) -> None:
    """A rank that does nothing until a first message comes."""
    mortal()
    pipe.recv_bytes()
