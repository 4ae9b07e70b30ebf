"""The fork server: imports torch once, then forks a worker for each task. `python -m genbench.execution.server FD`.

The parent sends a four-byte length with file descriptors (the worker's event pipe, its log, and locks for it to hold),
then a JSON request. The server answers with a line of JSON when a worker has started and when it has ended; the latter
includes any message that the worker could not write to its pipe. If the parent is gone, it ends every worker and exits.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import psutil

from genbench.execution.worker import PR_SET_PDEATHSIG, LastWords, prctl, work
from genbench.machine.collection import no_collection

PRELOAD = ("torch", "genbench.cell.preflight")
# Imported by the first optimizer of a process, which takes seconds: once here instead of in each worker.
PRELOAD_FOR_MODELS = ("torch._dynamo",)
# Further imports for cells, done before the first one: a request that is refused never waits for them.
PRELOAD_FOR_CELLS = ("genbench.cell", "genbench.metrics.torchmetrics_import")
PRELOAD_FOR = {"check_model": PRELOAD_FOR_MODELS, "run_cell": PRELOAD_FOR_CELLS}
PR_SET_CHILD_SUBREAPER = 36

Workers = dict[int, tuple[int, LastWords]]  # process id -> request number and last words


def preload(names: Sequence[str]) -> None:
    """Import modules, and exclude all that they made from garbage collections, here and in every worker."""
    if all(name in sys.modules for name in names):
        return
    with no_collection():
        for name in names:
            importlib.import_module(name)
    gc.freeze()


def serve(control: socket.socket) -> None:
    """Fork workers as the parent asks, until it closes its end."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    workers: Workers = {}
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


def _accept(control: socket.socket, workers: Workers, own: tuple[int, int]) -> bool:
    """Take one request and fork its worker; False when the parent is gone."""
    try:
        header, descriptors, _, _ = socket.recv_fds(control, 4, 8)
        text = _receive(control, struct.unpack("!I", header)[0]) if len(header) == 4 else b""
    except (EOFError, ConnectionError):  # it was killed while sending, or before it received an answer
        return False
    if not text:
        return False
    request = json.loads(text)
    preload(PRELOAD_FOR.get(request["task"], ()))
    words = LastWords()
    try:
        pid = _fork()
    except OSError as error:  # too many processes, or too little memory: the others continue
        pid = None
        words.say({"kind": "failure", "type": "OSError", "reason": f"no process could be started: {error.strerror}"})
    if pid == 0:
        for descriptor in own:
            os.close(descriptor)
        control.close()
        events, log, *_ = descriptors  # the rest only have to stay open as long as the worker lives
        work(request, events, log, words)
    for descriptor in descriptors:
        os.close(descriptor)
    if pid is None:
        _answer(control, {"number": request["number"], "status": 1, "words": words.heard()})
    else:
        workers[pid] = (request["number"], words)
        _answer(control, {"number": request["number"], "pid": pid})
    return True


def _fork() -> int:
    """Fork a worker in its own process group, without this process's signal handlers."""
    with warnings.catch_warnings():
        # Python 3.12 and later warn about any thread, and libraries start idle ones during import. A worker uses none
        # of them: it creates its own.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
    else:
        # The worker also does this: whichever comes first, the group exists before the parent may end it.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)
    return pid


def _receive(control: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = control.recv(count - len(parts))
        if not part:
            raise EOFError("the parent closed its end within a request")
        parts += part
    return bytes(parts)


def _reap(control: socket.socket, workers: Workers) -> None:
    while workers:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in workers:
            number, words = workers.pop(pid)
            # Processes that the worker left running end with it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            _end_orphans(workers)
            code = os.waitstatus_to_exitcode(status)
            _answer(control, {"number": number, "status": code, "words": words.heard()})


def _answer(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        control.sendall(json.dumps(message).encode() + b"\n")


def _end_orphans(workers: Workers) -> None:
    """End processes that a worker started in a separate session, and hence outside its process group."""
    if not workers:  # otherwise it may belong to a worker that is still running
        for orphan in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):
                orphan.kill()


if __name__ == "__main__":
    # The parent handles interrupts, and the SIGTERM that a scheduler sends to every process of a job.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A closed socket shows that the parent has ended, but not during an import; the kernel reports it at once.
    signal.signal(signal.SIGUSR2, lambda *_: sys.exit(1))
    prctl(PR_SET_PDEATHSIG, signal.SIGUSR2)
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # processes that outlive a worker become children of this one, which ends them
    preload(PRELOAD)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection)
