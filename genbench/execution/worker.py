"""A worker: runs one task in its own process, and reports its progress and outcome whatever a model does."""

from __future__ import annotations

import contextlib
import faulthandler
import mmap
import os
import signal
import struct
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from genbench.errors import InputError, PluginError
from genbench.execution.messages import LINE_BYTES, encode
from genbench.execution.tasks import TASKS
from genbench.machine.ending import PR_SET_PDEATHSIG, leave, prctl
from genbench.plugin.visible import message_of, name_of, spoken

__all__ = ["PR_SET_PDEATHSIG", "LastWords", "failure", "prctl", "work"]

_STANDARD = ("standard input", "standard output", "standard error")


class LastWords:
    """A memory page shared with the server; it has no descriptor, so a model that closes all of them leaves it."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, LINE_BYTES + 4)

    def say(self, error: dict[str, Any]) -> None:
        """Leave an `error` event; `traceback` is optional."""
        line = encode({"event": "error", "traceback": "", **error})
        self._page[: 4 + len(line)] = struct.pack("!I", len(line)) + line

    def heard(self) -> str:
        """Return the line that was left, or an empty one, and release the page."""
        (length,) = struct.unpack("!I", self._page[:4])
        line = self._page[4 : 4 + min(length, LINE_BYTES)]
        self._page.close()
        return line.decode(errors="replace")


class Descriptors:
    """The initial descriptors of a worker; a file opened in the place of a closed one would receive its output."""

    def __init__(self, events: int) -> None:
        self._names = {events: "genbench's own pipe", **dict(enumerate(_STANDARD))}
        self._were = {number: _identity(number) for number in self._names}

    def check(self) -> None:
        """Raise `PluginError` if one was closed or now refers to a different file."""
        for number, name in self._names.items():
            if _identity(number) != self._were[number]:
                raise PluginError(
                    f"the model closed or replaced {name} (file descriptor {number}); close only what you have opened"
                )


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def work(request: dict[str, Any], events: int, log: int, words: LastWords) -> None:
    """Run one task in the forked worker and end the process; never returns."""
    code, own = 1, os.getpid()
    try:
        with contextlib.suppress(PermissionError):
            os.setpgid(0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # even if the server itself is killed
        with open(os.devnull, "rb") as null:
            os.dup2(null.fileno(), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        # A crash in C code writes each thread's stack to the log, and so does the parent's signal before it kills.
        faulthandler.enable(file=2)
        faulthandler.register(signal.SIGUSR1, file=2)
        emit = _emitter(os.fdopen(events, "wb"), Descriptors(events))
        emit({"event": "result", "value": TASKS[request["task"]](request["payload"], emit)})
        code = 0
    except BaseException as error:  # third-party code runs here: whatever it raises becomes a reported failure
        _end_if_forked(own)
        with contextlib.suppress(BaseException):
            words.say(failure(error))
        with contextlib.suppress(BaseException):
            traceback.print_exc()
    finally:
        leave(code)


def _emitter(pipe: BinaryIO, descriptors: Descriptors) -> Callable[[dict[str, Any]], None]:
    own = os.getpid()

    def emit(event: dict[str, Any]) -> None:
        _end_if_forked(own)
        descriptors.check()
        pipe.write(encode(event))
        pipe.flush()

    return emit


def _end_if_forked(own: int) -> None:
    """End a child forked by a plugin that continues here: only one process of a cell sends events."""
    if os.getpid() != own:
        os._exit(1)


def failure(error: BaseException) -> dict[str, Any]:
    """Return the report of an exception, whatever its message, exit code or traceback do when they are read."""
    name = name_of(error)
    reason = message_of(error) or name
    if issubclass(type(error), SystemExit):
        reason = f"called sys.exit({spoken(lambda: repr(error.code), 'an object')})"  # type: ignore[attr-defined]
    return {
        "kind": "input" if issubclass(type(error), InputError) else "failure",
        "type": name,
        "reason": reason,
        "traceback": spoken(lambda: "".join(traceback.format_exception(error)), "a traceback"),
    }
