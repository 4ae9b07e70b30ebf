"""Cells on a Dask cluster of local processes: the same records, one line for bad input, and faults."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pages import ROOT, Command, read_page, type_page

pytest.importorskip("distributed")

import genbench
from genbench.execution import engines
from genbench.execution.cluster import admission, connection
from genbench.records.files import read_records

HERE = Path(__file__).parent
JSON_LINES = Path(__file__).parent / "brought" / "json-lines" / "json_lines_observer.py"
QUICK: dict[str, Any] = {"evaluations": 2, "samples": 60, "metrics": ["fd", "kid"], "seeds": 1, "controls": []}
FLAGS = ["--evaluations", "2", "--samples", "60", "--metrics", "fd,kid", "--seeds", "1", "--no-controls"]
FLAGS += ["--checkpoint-interval", "0.02"]


class Cluster:
    """A scheduler and workers, each in its own process."""

    def __init__(self, folder: Path, warm: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{found.getsockname()[1]}"
        program = [sys.executable, str(HERE / "cluster_of_processes.py"), self.address, str(folder), str(warm)]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.servers = psutil.Process(int(Path(f"{warm}.pid").read_text()))
        self.scheduler, self.workers = self.start("scheduler"), [self.start("worker")]

    def start(self, what: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def revive(self) -> None:
        """Restart the scheduler and one worker if they have ended."""
        wait_for(lambda: not psutil.pid_exists(self.scheduler) or psutil.Process(self.scheduler).is_running())
        if not psutil.pid_exists(self.scheduler):
            self.scheduler = self.start("scheduler")
        if not any(map(psutil.pid_exists, self.workers)):
            self.workers = [self.start("worker")]

    def close(self) -> None:
        self.process.communicate()


def wait_for(condition: Callable[[], Any], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def cluster(warm_servers: None, warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    one_thread = pytest.MonkeyPatch()
    one_thread.setenv("OMP_NUM_THREADS", "1")
    started = Cluster(tmp_path_factory.mktemp("cluster") / "workers", warm)
    yield started
    started.close()
    one_thread.undo()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "WORKERS_S", 20.0)
    monkeypatch.setattr(connection, "CONNECT_S", 20.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that imports a neighbouring file, and can pause in each step or kill its worker."""
    folder = tmp_path_factory.mktemp("model")
    source = (HERE / "models" / "tiny.py").read_text()
    source = source.replace("import torch\n", "import os\nimport time\n\nimport torch\nfrom widths import WIDTH\n", 1)
    source = source.replace("width: int = 256", "width: int = WIDTH, pause: float = 0.0, kills: bool = False")
    source = source.replace("    layers = ", "    PAUSE.append(pause)\n    KILLS.append(kills)\n    layers = ", 1)
    source = source.replace("LATENT = 16\n", "LATENT = 16\nPAUSE, KILLS = [0.0], [False]\n", 1)
    harm = "    time.sleep(PAUSE[-1])\n    if KILLS[-1]:\n        os.kill(int(os.environ['TEST_WORKER']), 9)\n"
    source = source.replace("    loss.backward()\n", f"    loss.backward()\n{harm}", 1)
    (folder / "small.py").write_text(source)
    (folder / "widths.py").write_text("WIDTH = 32\n")
    return folder / "small.py"


def lasting(out: Path) -> dict[str, Any]:
    """What must not depend on where the cells ran: the pictures, and the records but for times and machines."""
    found: dict[str, Any] = {}
    for record in read_records(out):
        data = record.data
        curve = [{key: value for key, value in row.items() if key != "elapsed_s"} for row in data["curve"]]
        kept = ("id", "cell", "numbers", "recipes", "not_measured", "artifacts", "failure")
        found[record.id] = {"curve": curve, **{key: data[key] for key in kept}}
        found |= {name: (out / name).read_bytes() for name in data["artifacts"].values()}
    return found


def test_cells_on_a_cluster_leave_the_same_files_as_local_ones(cluster: Cluster, model: Path, tmp_path: Path) -> None:
    asked = {**QUICK, "seeds": 2, "controls": ["real"], "budget": "30steps"}
    asked["observe"] = [f"{JSON_LINES}:dir={tmp_path}/told"]
    lines: list[str] = []
    genbench.run([str(model)], out=tmp_path / "here", **asked)
    records = genbench.run(
        [str(model)], out=tmp_path / "there", cluster=cluster.address, progress=lines.append, **asked
    )
    assert [record.finished for record in records] == [True] * 4
    assert lasting(tmp_path / "there") == lasting(tmp_path / "here")
    assert (tmp_path / "there" / "logs" / f"{records[-1].id}.log").exists()
    assert any("4/4" in line for line in lines)
    here, there = (
        {path.name: path.read_text() for path in tmp_path.glob(f"told/{name}-*/*")} for name in ("here", "there")
    )
    assert len(here) == 4
    assert here == there  # observers see the same events
    left = [path.name for path in (tmp_path / "there").iterdir()]
    assert sorted(left) == sorted(path.name for path in (tmp_path / "here").iterdir())
    wait_for(
        lambda: len(cluster.servers.children()) <= 1
    )  # the workers' server has ended; that of the first run may remain


def test_what_the_tutorial_says_happens(cluster: Cluster, command: Command, tmp_path: Path) -> None:
    page = read_page(ROOT / "docs" / "tutorials" / "cluster.md")
    small = {
        "tcp://127.0.0.1:8786": cluster.address,
        "500steps": "3steps",
        "--seeds 3": "--seeds 1",
        "--out": "--no-controls --metrics fd --samples 60 --evaluations 1 --out",
    }
    type_page(page, tmp_path, command, {}, small)
    assert [record.finished for record in read_records(tmp_path / "reports" / "cluster")] == [True]


def refused(command: Command, cluster: str, model: Path, cwd: Path, *more: str) -> str:
    arguments = ["run", "-m", str(model), *FLAGS, "--budget", "9steps", "--out", "out", "--cluster", cluster, *more]
    said = command(*arguments, cwd=cwd, code=2).stderr
    assert not (cwd / "out").exists()
    return said


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("bare", "genbench with its cluster part is not installed there"),
        ("other", "torch is 9.9, here "),
        ("plugin", "model 'small' (file 9.9) is 9.9, here "),
    ],
)
def test_a_worker_that_differs_is_named_before_anything_is_trained(
    cluster: Cluster, command: Command, model: Path, tmp_path: Path, what: str, line: str
) -> None:
    pid = cluster.start(what)
    try:
        wait_for(lambda: workers_of(cluster) == 2)
        said = refused(command, cluster.address, model, tmp_path)
    finally:
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: workers_of(cluster) == 1)
    assert "genbench: workers of the cluster are unsuitable:\n\ttcp://127.0.0.1:" in said
    assert line in said
    assert len(said.splitlines()) == 2 + said.count("checking")


def workers_of(cluster: Cluster) -> int:
    from distributed import Client

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a worker without genbench, which cannot report its versions
        client = Client(cluster.address, set_as_default=False)
    with client:
        return len(client.sync(client.scheduler.identity, n_workers=-1)["workers"])


def test_what_a_worker_cannot_have_is_one_line(
    cluster: Cluster, command: Command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refused(command, cluster.address, model, tmp_path, "--shared", "/proc/shared")
    assert re.search(r"tcp://127.0.0.1:\d+: cannot write to --shared /proc/shared: No such file or directory", said)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "faraway.py").write_text("SCALE = 1\n")
    needy = tmp_path / "needy" / "needy.py"
    needy.parent.mkdir()
    needy.write_text(f"import faraway\n{(HERE / 'models' / 'tiny.py').read_text()}")
    monkeypatch.syspath_prepend(str(elsewhere))
    said = refused(command, cluster.address, needy, tmp_path)
    assert "model 'needy' (file) imports or reads faraway.py, which is outside its folder" in said


def test_a_scheduler_that_is_not_there_or_alone_is_one_line(
    command: Command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_S", 0.3)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{found.getsockname()[1]}"
    said = refused(command, nobody, model, tmp_path)
    assert re.fullmatch(rf"genbench: no scheduler answers at {nobody} \(.*\); start one with: dask scheduler\n", said)
    assert "scheduler file none.json cannot be read: No such file" in refused(command, "none.json", model, tmp_path)
    (tmp_path / "empty.json").write_text("{}")
    assert "empty.json is not a scheduler file" in refused(command, "empty.json", model, tmp_path)
    assert "is not an address; write tcp://HOST:PORT" in refused(command, "tcp://nowhere", model, tmp_path)
    assert "--jobs has no effect with --cluster" in refused(command, nobody, model, tmp_path, "--jobs", "2")
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'genbench[cluster]'" in refused(command, nobody, model, tmp_path)


def test_another_program_at_the_address_is_one_line(command: Command, model: Path, tmp_path: Path) -> None:
    """Dask takes the greeting for the length of a message, and tries to allocate that much memory."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            with listener.accept()[0] as caller:
                caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                caller.recv(1)

        greeting = threading.Thread(target=greet)
        greeting.start()
        at = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        said = refused(command, at, model, tmp_path)
        greeting.join()
    assert said.startswith(f"genbench: no scheduler answers at {at} (Unable to allocate ")
    assert len(said.splitlines()) == 1


def test_a_scheduler_without_workers_is_one_line(
    cluster: Cluster, command: Command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "WORKERS_S", 0.0)
    said = refused(command, cluster.address, model, tmp_path)
    assert f"the scheduler at {cluster.address} has no workers; start some with: dask worker {cluster.address}" in said


def test_a_cell_that_kills_its_worker_three_times_is_one_failed_record(
    cluster: Cluster, model: Path, tmp_path: Path
) -> None:
    cluster.workers += [cluster.start("worker") for _ in range(3)]
    wait_for(lambda: workers_of(cluster) == 4)
    harmful, harmless = f"{model}:kills=true", str(model)
    records = genbench.run([harmful, harmless], budget="5steps", out=tmp_path, cluster=cluster.address, **QUICK)
    failed, finished = records
    assert failed.failed
    assert finished.finished
    assert failed.failure is not None
    assert re.fullmatch(
        r"its worker was lost 3 times while the cell ran there \((tcp://127.0.0.1:\d+(, )?){3}\): "
        "the cell may be what kills it",
        failed.failure["reason"],
    )
    cluster.workers = [pid for pid in cluster.workers if psutil.pid_exists(pid)]
    assert len(cluster.workers) == 1


def step_of(path: Path) -> int:
    from genbench.training import checkpoint

    return checkpoint.load(path)["progress"]["step"] if path.exists() else 0


def test_nothing_is_lost_whatever_is_killed(
    cluster: Cluster, model: Path, program: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, budget = f"{model}:pause=0.03", "200steps"
    (unbroken,) = genbench.run([slow], budget=budget, out=tmp_path / "here", **QUICK)
    out, shared = tmp_path / "out", tmp_path / "shared"
    asked = ["run", "-m", slow, *FLAGS, "--budget", budget, "--out", str(out), "--cluster", cluster.address]
    checkpoint = shared / "checkpoints" / f"{unbroken.id}.pt"

    def client() -> subprocess.Popen[str]:
        command = [*program, *asked, "--shared", str(shared)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    first = client()
    wait_for(lambda: step_of(checkpoint) >= 10)
    cluster.workers.append(cluster.start("worker"))  # joins late, and takes over the cell of the killed worker
    os.kill(cluster.workers[0], signal.SIGSTOP)
    time.sleep(1.0)
    os.kill(cluster.workers[0], signal.SIGCONT)
    os.kill(cluster.workers.pop(0), signal.SIGKILL)
    before = step_of(checkpoint)
    wait_for(lambda: step_of(checkpoint) > before + 5)
    first.kill()
    assert "resumes after step" in first.communicate()[1]
    second = client()  # follows the cell, which is still running
    assert second.stderr is not None
    for line in second.stderr:
        if "[1/1]" in line:
            break
    os.kill(cluster.scheduler, signal.SIGKILL)
    said = second.communicate(timeout=90)[1]
    assert second.returncode == 1, said
    assert f"the scheduler at {cluster.address} is gone. Finished cells are safe" in said
    wait_for(lambda: not psutil.pid_exists(cluster.workers[0]))  # workers end with their scheduler
    wait_for(lambda: not any("execution" in name for name in map(psutil.Process.name, cluster.servers.children())))
    cluster.revive()
    lines: list[str] = []
    again = {**QUICK, "checkpoint_interval": 0.02, "shared": str(shared), "cluster": cluster.address}
    (record,) = genbench.run([slow], budget=budget, out=out, progress=lines.append, **again)
    assert any("resumes after step" in line for line in lines)
    assert record.finished
    assert lasting(out) == lasting(tmp_path / "here")
    assert [path for path in shared.rglob("*") if path.is_file()] == []
    assert json.loads((out / "records" / f"{record.id}.json").read_text())["status"] == "finished"


def test_a_client_that_comes_back_follows_the_cell_that_is_still_running(
    cluster: Cluster, model: Path, program: list[str], tmp_path: Path
) -> None:
    """There is no shared folder, so a cell that started over would have begun after the kill."""
    cluster.revive()
    slow = f"{model}:pause=0.03"
    asked = ["run", "-m", slow, *FLAGS, "--budget", "100steps", "--out", str(tmp_path), "--cluster", cluster.address]
    first = subprocess.Popen([*program, *asked], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert first.stderr is not None
    for line in first.stderr:
        if "[1/1]" in line:
            break
    time.sleep(1.5)
    killed_at = time.time()
    first.kill()
    first.communicate()
    (record,) = genbench.run(
        [slow], budget="100steps", out=tmp_path, cluster=cluster.address, checkpoint_interval=0.02, **QUICK
    )
    assert record.finished
    begun = time.mktime(time.strptime(record.data["started_at"][:19], "%Y-%m-%dT%H:%M:%S"))
    assert begun - time.timezone < killed_at


def test_an_interrupted_run_goes_on_from_its_last_window(
    cluster: Cluster, model: Path, program: list[str], tmp_path: Path
) -> None:
    cluster.revive()
    shared, marks, noting = tmp_path / "shared", tmp_path / "steps", tmp_path / "model" / "small.py"
    shutil.copytree(model.parent, noting.parent)
    # Spelt out letter by letter: a file that the code names is part of its identity, and this one grows.
    note = f"    open(''.join({list(str(marks))!r}), 'a').write('.')\n    loss.backward()\n"
    noting.write_text(noting.read_text().replace("    loss.backward()\n", note))
    slow, budget = f"{noting}:pause=0.03", "200steps"
    asked = ["run", "-m", slow, *FLAGS, "--checkpoint-interval", "1000", "--grace", "60", "--budget", budget]
    asked += ["--out", str(tmp_path / "out"), "--cluster", cluster.address, "--shared", str(shared)]
    first = subprocess.Popen([*program, *asked], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: marks.exists() and marks.stat().st_size >= 7)
    first.send_signal(signal.SIGINT)
    told = first.communicate(timeout=90)[1]
    steps = marks.stat().st_size - 1  # one step is a trial, to see whether its FLOPs can be counted
    assert first.returncode == 130
    assert steps < 200
    assert f"stops as requested, after step {steps}\n" in told
    (path,) = (shared / "checkpoints").iterdir()
    assert step_of(path) == steps  # nothing was trained in vain
    lines: list[str] = []
    again: dict[str, Any] = {**QUICK, "shared": str(shared), "cluster": cluster.address}
    (record,) = genbench.run([slow], budget=budget, out=tmp_path / "out", progress=lines.append, **again)
    assert any(f"resumes after step {steps}" in line for line in lines)
    assert record.finished
