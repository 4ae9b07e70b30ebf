"""Processes that a cell forks to work with it: it commands them, watches them, and ends them with it."""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from genbench.cell.events import Emit
from genbench.errors import GenbenchError, PluginError, shortened
from genbench.machine.ending import end_with_parent, leave
from genbench.plugin.visible import message_of, name_of
from genbench.training.ranks.group import LostRankError

__all__ = ["Followers", "RankError"]

GRACE_S = 5.0  # for the first rank to notice that another has ended, and for a rank to end when asked
LONGEST_TRACEBACK = 32_000  # bytes as JSON; with the reason, at most what a pipe holds until it is read, 64 KiB


class RankError(GenbenchError):
    """A rank has ended for a reason outside the plugin, such as a signal."""


@dataclass
class _Follower:
    """A rank other than the first."""

    rank: int
    pid: int
    commands: Connection
    faults: int  # descriptor to which it writes when it fails
    ended: threading.Event = field(default_factory=threading.Event)
    fault: dict[str, Any] | None = None


class Followers:
    """Ranks 1 to `size` - 1 of a cell, forked before it has used a thread or a GPU, so in its process group.

    If one ends before it is asked to, the cell fails within seconds, even if its own process is waiting for that rank
    in an exchange that never returns.

    Args:
        size: the number of ranks, including the first.
        follow: what each of the others does with its rank and its end of a pipe, until it is asked to end.
        emit: receives the event of a failure that the first rank's own code can no longer raise.
    """

    def __init__(self, size: int, follow: Callable[[int, Connection], None], emit: Emit) -> None:
        self._emit = emit
        self._failed, self._heard = threading.Event(), threading.Event()
        self._ending = False
        self._all: list[_Follower] = []
        for rank in range(1, size):
            self._all.append(self._fork(rank, follow))
        for each in self._all:
            threading.Thread(target=self._watch, args=(each,), name=f"rank {each.rank}", daemon=True).start()

    def tell(self, rank: int, message: Mapping[str, Any]) -> None:
        """Send a message to one rank; raise `LostRankError` if it has ended."""
        try:
            self._all[rank - 1].commands.send_bytes(json.dumps(message).encode())
        except OSError as error:
            raise LostRankError(f"rank {rank} no longer listens") from error

    def tell_all(self, message: Mapping[str, Any]) -> None:
        """Send a message to each rank."""
        for each in self._all:
            self.tell(each.rank, message)

    def answers(self) -> list[Any]:
        """Wait for an answer from each rank, and return them in order; raise `LostRankError` if one has ended."""
        found = []
        for each in self._all:
            try:
                found.append(json.loads(each.commands.recv_bytes()))
            except (OSError, EOFError) as error:
                raise LostRankError(f"rank {each.rank} no longer answers") from error
        return found

    def ask(self, message: Mapping[str, Any]) -> list[Any]:
        """Send a message to each rank, and return their answers in order."""
        self.tell_all(message)
        return self.answers()

    def finish(self, message: Mapping[str, Any]) -> list[Any]:
        """Send the last message, return the answers, and wait until all have ended."""
        self._ending = True
        answers = self.ask(message)
        for each in self._all:
            if not each.ended.wait(GRACE_S):
                raise RankError(f"rank {each.rank} does not end; a hook must end whatever it starts")
        return answers

    def close(self, error: BaseException | None) -> None:
        """End all ranks still running; if `error` says that a rank was lost, raise the reason."""
        self._heard.set()
        try:
            if isinstance(error, LostRankError):
                raise self._reason() from error
        finally:
            self._ending = True
            for each in self._all:
                if not each.ended.is_set():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(each.pid, signal.SIGKILL)

    def _fork(self, rank: int, follow: Callable[[int, Connection], None]) -> _Follower:
        own, commands = multiprocessing.Pipe()
        read, write = os.pipe()
        parent = os.getpid()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # about threads: libraries start idle ones
            pid = os.fork()
        if pid:
            commands.close()
            os.close(write)
            os.set_blocking(read, False)
            return _Follower(rank, pid, own, read)
        code = 1
        try:
            end_with_parent(parent)
            for connection in (own, *(other.commands for other in self._all)):
                connection.close()
            follow(rank, commands)
            code = 0
        except BaseException as error:  # a stranger's code runs here, and this must not continue as the first rank
            if isinstance(error, LostRankError):
                time.sleep(2 * GRACE_S)  # the rank at fault reports first, and this process is then ended
            os.write(write, json.dumps(_described(error)).encode())
            traceback.print_exc()
        finally:
            leave(code)

    def _watch(self, follower: _Follower) -> None:
        """Wait for the end of one rank; if it comes too early, make sure that the cell ends."""
        try:
            code = os.waitstatus_to_exitcode(os.waitpid(follower.pid, 0)[1])
        except ChildProcessError:  # the model has already waited for it
            code = 0
        said = b""
        with contextlib.suppress(BlockingIOError):  # a process that it has started still holds the other end
            said = os.read(follower.faults, 1 << 16)
        os.close(follower.faults)
        follower.fault = _report(said)
        if follower.fault is None and not self._ending:
            how = f"was ended by a signal ({signal.strsignal(-code)})" if code < 0 else f"ended with exit code {code}"
            follower.fault = {"plugin": False, "lost": False, "reason": how, "traceback": ""}
        follower.ended.set()
        if follower.fault is not None:
            self._failed.set()
            if not self._heard.wait(GRACE_S):
                self._end_cell()

    def _end_cell(self) -> None:
        error = self._reason()
        told = {"kind": "failure", "type": type(error).__name__, "reason": str(error), "traceback": ""}
        self._emit({"event": "error", **told})
        os._exit(1)

    def _reason(self) -> GenbenchError:
        """Return why a rank has been lost: the report of the first to fail, not of those that it left waiting."""
        self._failed.wait(GRACE_S)
        faults = [(each.rank, each.fault) for each in self._all if each.fault is not None]
        if not faults:
            return RankError("a rank does not answer, and its process has not ended")
        rank, fault = min(faults, key=lambda pair: bool(pair[1]["lost"]))
        if fault["plugin"]:
            error: GenbenchError = PluginError(f"{fault['reason']} (rank {rank})")
        else:
            error = RankError(f"rank {rank} {fault['reason']}")
        if fault["traceback"]:
            error.add_note(f"On rank {rank}:\n{fault['traceback']}")
        return error


def _report(said: bytes) -> dict[str, Any] | None:
    """Return what `_described` returned in a rank; None for nothing, or for what the rank's plugin wrote instead."""
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.keys() == {"plugin", "lost", "reason", "traceback"} else None


def _described(error: BaseException) -> dict[str, Any]:
    """Return the first rank's description of an exception in another."""
    plugin, reason = isinstance(error, PluginError), message_of(error)
    if not plugin:
        reason = f"raised {name_of(error)}: {reason}"
    told = _end_of("".join(traceback.format_exception(error)))
    return {"plugin": plugin, "lost": isinstance(error, LostRankError), "reason": shortened(reason), "traceback": told}


def _end_of(text: str) -> str:
    """Return as much of a text's end as JSON holds in `LONGEST_TRACEBACK` bytes: a character takes up to 12."""
    sizes = (len(json.dumps(character)) - len('""') for character in reversed(text[-LONGEST_TRACEBACK:]))
    kept = sum(size <= LONGEST_TRACEBACK for size in itertools.accumulate(sizes))
    return text[len(text) - kept :]
