"""Worker processes: events, failures, crashes and time limits all come back as an outcome."""

from __future__ import annotations

import gc
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from genbench import Data
from genbench.config import Cell, ModelSpec, Settings
from genbench.execution.cell_lock import CellLock
from genbench.execution.limits import Limits
from genbench.execution.local import ForkServer, ServerError
from genbench.execution.server import preload


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer() as running:
        yield running


DATA = {"told": Data("image", torch.Size((1, 8, 8)), 1297, 10).to_json()}
PAYLOAD = {"data": DATA, "distribution": "file"}


def check_model(server: ForkServer, path: Path, seconds: float = 60.0):
    cell = Cell(ModelSpec(str(path)), "digits", 0, Settings())
    return server.run("check_model", {"cell": cell.to_json(), **PAYLOAD}, limits=Limits(seconds))


def test_a_task_returns_its_value(server: ForkServer, tiny: Path) -> None:
    outcome = check_model(server, tiny)
    assert outcome.value == {"built": True}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('bad luck')", "import failed: ValueError: bad luck"),
        ("import sys; sys.exit(7)", "import failed: SystemExit: 7"),
        ("import os; os._exit(3)", "the process ended with exit code 3 and said nothing"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "the process was killed by SIGKILL (out of memory?)",
        ),
        ("import ctypes; ctypes.string_at(0)", "the process was killed by SIGSEGV"),
        ("import os; os.closerange(0, 99)", "the model closed or replaced"),
    ],
)
def test_whatever_a_plugin_does_is_an_outcome(server: ForkServer, write_plugin, code: str, reason: str) -> None:
    outcome = check_model(server, write_plugin("LATENT = 16", f"LATENT = 16\n{code}"))
    assert not outcome.ok
    assert reason in outcome.reason
    assert outcome.kind == "failure"


def test_the_server_lives_on_after_a_crash(server: ForkServer, tiny: Path) -> None:
    assert check_model(server, tiny).ok


def test_a_hang_is_ended_with_everything_it_started(server: ForkServer, write_plugin, tmp_path: Path) -> None:
    code = f"""
import subprocess, time, pathlib
child = subprocess.Popen(["sleep", "60"])
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
time.sleep(60)
"""
    begin = time.monotonic()
    outcome = check_model(server, write_plugin("LATENT = 16", f"LATENT = 16{code}"), seconds=3.0)
    assert time.monotonic() - begin < 20
    assert outcome.reason == "timed out after 3 s"
    assert "faulty.py" in outcome.log_tail  # where it hung
    time.sleep(0.2)
    pid = int((tmp_path / "pid").read_text())
    alive = Path(f"/proc/{pid}/status")
    assert not alive.exists() or "Z (zombie)" in alive.read_text()


def test_a_hang_outside_its_group_is_ended_too(server: ForkServer, write_plugin) -> None:
    code = "import os, time; os.setpgid(0, os.getpgid(os.getppid())); time.sleep(60)"
    begin = time.monotonic()
    outcome = check_model(server, write_plugin("LATENT = 16", f"LATENT = 16\n{code}"), seconds=1.0)
    assert "timed out" in outcome.reason
    assert time.monotonic() - begin < 30


def test_a_forked_child_that_continues_reports_nothing(server: ForkServer, write_plugin) -> None:
    code = "import os; child = os.fork(); child and os.waitpid(child, 0)"
    events: list[object] = []
    cell = Cell(ModelSpec(str(write_plugin("LATENT = 16", f"LATENT = 16\n{code}"))), "digits", 0, Settings())
    task = server.start("check_model", {"cell": cell.to_json(), **PAYLOAD})
    take = task._take
    task._take = lambda event: (events.append(event["event"]), take(event))
    while not task.ended:
        server.wait()
    assert task.outcome.ok
    assert events == ["result"]


def test_what_a_plugin_prints_is_kept_as_a_tail(server: ForkServer, write_plugin) -> None:
    noise = "print('x' * 79 + '\\n' * 1, end='')"
    code = f"for _ in range(30000): {noise}\nprint('the end')\nraise RuntimeError('after much noise')"
    outcome = check_model(server, write_plugin("LATENT = 16", f"LATENT = 16\n{code}"))
    assert "the end" in outcome.log_tail
    assert len(outcome.log_tail) <= 8000
    assert "after much noise" in outcome.reason
    assert 'raise RuntimeError("after much noise")' in outcome.traceback or "after much noise" in outcome.traceback


def test_an_option_at_fault_is_the_users(server: ForkServer, tiny: Path) -> None:
    cell = Cell(ModelSpec(str(tiny), {"depth": 3}), "digits", 0, Settings())
    outcome = server.run("check_model", {"cell": cell.to_json(), **PAYLOAD})
    assert outcome.kind == "input"
    assert outcome.reason.startswith("model 'tiny' (file): unknown option 'depth'")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_with_their_parent(write_plugin, tmp_path: Path) -> None:
    """A parent that is killed leaves no worker behind, although workers have their own process groups."""
    marker = tmp_path / "pid"
    path = write_plugin(
        "LATENT = 16",
        f"LATENT = 16\nimport os, time\nopen({str(marker)!r}, 'w').write(str(os.getpid()))\ntime.sleep(300)",
    )
    program = (
        "from genbench.execution.local import ForkServer\nfrom genbench.config import *\n"
        f"cell = Cell(ModelSpec({str(path)!r}), 'digits', 0, Settings())\n"
        "with ForkServer() as server:\n"
        f"    server.run('check_model', {{'cell': cell.to_json(), **{PAYLOAD!r}}})\n"
    )
    deadline = time.monotonic() + 180
    with subprocess.Popen([sys.executable, "-c", program]) as parent:
        try:
            while not (marker.exists() and marker.read_text()):
                assert time.monotonic() < deadline, "the worker did not start"
                time.sleep(0.05)
        finally:
            parent.kill()
    worker = int(marker.read_text())
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


def test_a_lock_is_taken_though_a_run_that_ends_removes_the_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, open_file = [], os.open

    def after_removal(path, *arguments):
        if not opened:
            Path(path).parent.rmdir()
        opened.append(path)
        return open_file(path, *arguments)

    monkeypatch.setattr(os, "open", after_removal)
    lock = CellLock(tmp_path, "cell")
    assert lock.acquire()
    assert len(opened) == 2
    lock.release()


class Ended:
    """A server process that has ended."""

    def __init__(self, code: int) -> None:
        self.code = code

    def wait(self, timeout: float | None = None) -> int:
        return self.code


def bereft(code: int = -9) -> tuple[ForkServer, socket.socket]:
    """A fork server that is only a socket, and the other end of that socket."""
    server = ForkServer()
    server._control, theirs = socket.socketpair()
    server._process = Ended(code)  # type: ignore[assignment]
    server._selector.register(server._control, selectors.EVENT_READ)
    return server, theirs


def dies_before_it_is_asked(server: ForkServer, theirs: socket.socket) -> None:
    theirs.close()
    server.start("check_model", {})


def dies_with_a_request_unread(server: ForkServer, theirs: socket.socket) -> None:
    server.start("check_model", {})
    theirs.close()  # the system reports a reset, not an end of file
    server.wait(5.0)


def dies_after_it_has_read(server: ForkServer, theirs: socket.socket) -> None:
    server.start("check_model", {})
    theirs.recv(65536)
    theirs.close()
    server.wait(5.0)


def dies_within_an_answer(server: ForkServer, theirs: socket.socket) -> None:
    server.start("check_model", {})
    theirs.sendall(b'{"number": 0, "pi')
    theirs.recv(65536)
    theirs.close()
    server.wait(5.0)


def dies_after_an_answer(server: ForkServer, theirs: socket.socket) -> None:
    server.start("check_model", {})
    theirs.sendall(b'{"number": 0, "pid": 1073741824}\n')
    theirs.close()
    server.wait(5.0)


@pytest.mark.parametrize(
    "way",
    [
        dies_before_it_is_asked,
        dies_with_a_request_unread,
        dies_after_it_has_read,
        dies_within_an_answer,
        dies_after_an_answer,
    ],
)
def test_a_server_that_dies_is_one_line_wherever_it_dies(way: Callable[[ForkServer, socket.socket], None]) -> None:
    server, theirs = bereft()
    with pytest.raises(ServerError) as caught:
        way(server, theirs)
    assert str(caught.value) == (
        "the worker server was killed by SIGKILL (out of memory?). Finished cells are safe; fix this and repeat the "
        "command to resume"
    )
    server.__exit__()


def test_a_server_that_ends_itself_has_said_why() -> None:
    server, theirs = bereft(1)
    with pytest.raises(ServerError, match="ended with exit code 1 and said nothing; its message is above"):
        dies_before_it_is_asked(server, theirs)
    server.__exit__()


def test_a_server_that_cannot_be_started_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(
        ServerError, match=r"cannot be started: Resource temporarily unavailable\. Finished cells are safe"
    ):
        ForkServer().__enter__()


def test_a_process_that_cannot_be_forked_is_one_failed_task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from genbench.execution import server as serving

    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    server, theirs = bereft()
    task = server.start("check_model", {})
    workers: dict[int, object] = {}
    assert serving._accept(theirs, workers, (0, 0))  # type: ignore[arg-type]
    assert workers == {}
    assert server.wait(5.0) == [task]
    assert task.outcome.reason == "OSError: no process could be started: Resource temporarily unavailable"
    server._control.close()  # type: ignore[union-attr]
    assert not serving._accept(theirs, workers, (0, 0))  # type: ignore[arg-type]
    theirs.close()


def test_a_server_whose_parent_is_gone_says_nothing() -> None:
    from genbench.execution import server as serving

    server, theirs = bereft()
    theirs.sendall(b"{}\n")  # an answer that nobody reads
    server._control.close()  # type: ignore[union-attr]
    assert not serving._accept(theirs, {}, (0, 0))
    theirs.close()


def test_what_a_server_imports_is_neither_collected_nor_visited_by_collections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "preloaded.py").write_text("import gc\ncollects = gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    frozen: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append("preloaded" in sys.modules))
    monkeypatch.delitem(sys.modules, "preloaded", raising=False)
    preload(["json", "preloaded"])
    assert sys.modules["preloaded"].collects is False
    assert gc.isenabled()
    assert frozen == [True]
    preload(["json", "preloaded"])  # nothing new
    assert frozen == [True]
