"""The fork server: imports torch once, then forks a worker for each task. `python -m genbench.execution.server FD`.

The parent sends a four-byte length with file descriptors (the worker's event pipe, its log, and locks that it is to
hold), then a JSON request. The server answers a line of JSON when a worker has started and when it has ended. When the
parent is gone, it ends every worker, and itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import traceback
import warnings
from typing import Any

import psutil

from genbench.errors import InputError
from genbench.execution.tasks import TASKS

PRELOAD = ("torch", "genbench.preflight")
# What cells need beside it, imported before the first of them: a request that is refused never waits for it.
PRELOAD_FOR_CELLS = ("genbench.cell", "genbench.metrics.torchmetrics_import")
REASON_LIMIT, TRACEBACK_LIMIT = 2000, 20_000  # characters: a record holds them, whatever a plugin raises
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def serve(control: socket.socket) -> None:
    """Fork workers as the parent asks, until it closes its end."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    workers: dict[int, int] = {}  # process id -> request number
    try:
        while True:
            ready, _, _ = select.select([control.fileno(), wake_read], [], [])
            if wake_read in ready:
                os.read(wake_read, 4096)
            if control.fileno() in ready and not _accept(control, workers, (wake_read, wake_write)):
                return
            _reap(control, workers)
    finally:
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _accept(control: socket.socket, workers: dict[int, int], own: tuple[int, int]) -> bool:
    """Take one request and fork its worker; False when the parent is gone."""
    header, descriptors, _, _ = socket.recv_fds(control, 4, 8)
    if len(header) < 4:
        return False
    events, log, *_ = descriptors  # the others only have to stay open as long as the worker lives
    text = _receive(control, struct.unpack("!I", header)[0])
    request = json.loads(text)
    if request["task"] == "run_cell":
        for name in PRELOAD_FOR_CELLS:
            importlib.import_module(name)
    with warnings.catch_warnings():
        # Python 3.12 and newer warn of any thread, and libraries start idle ones while they are imported. A worker uses
        # none of them: it makes its own.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in own:
            os.close(descriptor)
        control.close()
        _work(request, events, log)
    # Also set here: whichever of the two comes first, the group exists before the parent may want to end it.
    with contextlib.suppress(PermissionError, ProcessLookupError):
        os.setpgid(pid, pid)
    for descriptor in descriptors:
        os.close(descriptor)
    workers[pid] = request["number"]
    _answer(control, {"number": request["number"], "pid": pid})
    return True


def _receive(control: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = control.recv(count - len(parts))
        if not part:
            raise EOFError("the parent closed its end within a request")
        parts += part
    return bytes(parts)


def _reap(control: socket.socket, workers: dict[int, int]) -> None:
    while workers:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        number = workers.pop(pid, None)
        if number is not None:
            # Whatever the worker left running ends with it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            _end_orphans(workers)
            _answer(control, {"number": number, "status": os.waitstatus_to_exitcode(status)})


def _answer(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        control.sendall(json.dumps(message).encode() + b"\n")


def _work(request: dict[str, Any], events: int, log: int) -> None:
    """Run one task in the forked worker and end the process; never returns."""
    code = 1
    pipe = os.fdopen(events, "wb")

    own = os.getpid()

    def emit(event: dict[str, Any]) -> None:
        if os.getpid() != own:  # a plugin has forked, and its child goes on here: a cell has one process that speaks
            os._exit(1)
        # A plugin's text can hold what is no Unicode, such as half of a pair: it comes from names of files.
        pipe.write(json.dumps(event, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        pipe.flush()

    try:
        with contextlib.suppress(PermissionError):
            os.setpgid(0, 0)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # even if the server is killed itself
        with open(os.devnull, "rb") as null:
            os.dup2(null.fileno(), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        # A crash within C writes each thread's stack to the log; and so does the parent's request before it kills.
        faulthandler.enable(file=2)
        faulthandler.register(signal.SIGUSR1, file=2)
        emit({"event": "result", "value": TASKS[request["task"]](request["payload"], emit)})
        code = 0
    except BaseException as error:  # a stranger's code runs here: whatever it raises becomes a reported failure
        with contextlib.suppress(BaseException):
            traceback.print_exc()
        with contextlib.suppress(BaseException):
            emit(_failure(error))
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _failure(error: BaseException) -> dict[str, Any]:
    try:
        text = str(error).strip().splitlines()
    except Exception as fault:  # a stranger's exception
        text = [f"with a message that raises {type(fault).__name__}"]
    reason = text[0] if text else ""
    if isinstance(error, SystemExit):
        reason = f"called sys.exit({error.code!r})"
    kind = "input" if isinstance(error, InputError) else "failure"
    name = type(error).__name__
    trace = _shortened("".join(traceback.format_exception(error)), TRACEBACK_LIMIT)
    return {
        "event": "error",
        "kind": kind,
        "type": name,
        "reason": _shortened(reason or name, REASON_LIMIT),
        "traceback": trace,
    }


def _shortened(text: str, limit: int) -> str:
    """Return `text` with its middle left out where it is longer than `limit` characters."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} [{len(text) - limit} characters left out] {text[-half:]}"


def _end_orphans(workers: dict[int, int]) -> None:
    """End what a worker started in a session of its own, and so outside its process group."""
    if not workers:  # else it may belong to one that still runs
        for orphan in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):
                orphan.kill()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # what outlives a worker becomes a child of this process, which ends it
    for name in PRELOAD:
        importlib.import_module(name)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection)
