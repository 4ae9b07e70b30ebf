"""Fork servers that start immediately, for tests that do not test how a server starts.

A fork server spends ten seconds of CPU time on importing torch and everything else that cells need; a test's small
cell takes almost none. Here one process performs these imports and forks a server for each request on a Unix socket. A
forked server has imported them and done nothing else, like `python -m genbench.execution.server`.

`python tests/warm_server.py serve SOCKET PID` is that process, which runs until process PID ends;
`python tests/warm_server.py SOCKET ARGUMENT...` is the command `genbench ARGUMENT...` with a server from that process.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from genbench.execution import local

SAMPLING_S = 0.02  # instead of half a second, which is most of the time of a small cell; as `short_sampling`


def serve(path: str, asker: int) -> NoReturn:
    """Fork a server for every request, until this process or `asker` ends, and then remove the socket's folder.

    The requester may run cells itself, and their plugins must leave no child behind; so this process is not its child.
    """
    from genbench.execution import server

    if os.fork():
        os._exit(0)
    watched = os.pidfd_open(asker)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{path}.soon")
    listening.listen()
    with open(f"{path}.pid", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{path}.soon", path)  # from here on, others may send requests, or end this process
    server.preload((*server.PRELOAD, *server.PRELOAD_FOR_CELLS))
    sys.modules["genbench.evaluation.trained"].SAMPLING_S = SAMPLING_S  # type: ignore[attr-defined]
    signal.signal(signal.SIGCHLD, _reap)
    signal.signal(signal.SIGTERM, lambda *_: _end(path))
    while listening in select.select([listening, watched], [], [])[0]:
        asked, _ = listening.accept()
        header, descriptors, _, _ = socket.recv_fds(asked, 4, 3)
        told = json.loads(asked.recv(struct.unpack("!I", header)[0], socket.MSG_WAITALL))
        pid = os.fork()
        if pid == 0:
            listening.close()
            os.close(watched)
            asked.close()
            _become_a_server(told, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with asked:
            asked.sendall(struct.pack("!I", pid))
    _end(path)


def _end(path: str) -> NoReturn:
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    os._exit(0)  # without torch's clean-up, which takes a second


def _reap(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become_a_server(told: dict[str, Any], control: int, output: int, errors: int) -> None:
    """Serve in the folder and the environment of the requesting process, with its output."""
    from genbench.execution import server
    from genbench.execution.worker import prctl

    code = 1
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.chdir(told["folder"])
        os.environ.clear()
        os.environ.update(told["environment"])
        sys.path[0] = told["folder"]  # as with `python -m`
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        prctl(server.PR_SET_CHILD_SUBREAPER, 1)
        with socket.socket(fileno=control) as connection:
            server.serve(connection)
        code = 0
    finally:
        os._exit(code)


class Forked:
    """A forked server, with the part of the interface of `subprocess.Popen` that a `ForkServer` uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.watched: int | None = None
        with contextlib.suppress(ProcessLookupError):
            self.watched = os.pidfd_open(pid)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for it to end; only its parent learns its exit code."""
        if self.watched is not None:
            if not select.select([self.watched], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a warm server", timeout or 0.0)
            os.close(self.watched)
            self.watched = None
        return 0

    def kill(self) -> None:
        """Kill it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def ask(path: str, control: int, environment: Mapping[str, str] | None) -> Forked:
    """Request a forked server that is controlled through the socket `control`; replaces `local._spawn`."""
    told = json.dumps(
        {"folder": os.getcwd(), "environment": dict(os.environ if environment is None else environment)}
    ).encode()
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(path)
        socket.send_fds(asking, [struct.pack("!I", len(told))], [control, 1, 2])
        asking.sendall(told)
        return Forked(struct.unpack("!I", asking.recv(4, socket.MSG_WAITALL))[0])


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    from genbench.cli import main

    local._spawn = functools.partial(ask, sys.argv.pop(1))  # type: ignore[assignment]
    main()
