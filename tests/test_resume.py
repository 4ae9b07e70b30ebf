"""Nothing finished is lost: killed runs, damaged checkpoints, full disks, and two runs in one directory."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import nn

import genbench
from genbench import Model
from genbench.execution.cell_lock import CellLock
from genbench.records.files import read_records
from genbench.training import checkpoint

Command = Callable[..., subprocess.CompletedProcess[str]]
TINY = (Path(__file__).parent / "models" / "tiny.py").read_text()
QUICK: dict[str, Any] = {"seeds": 1, "evaluations": 2, "samples": 100, "controls": []}


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose training takes a few seconds, so that it can be interrupted."""
    path = tmp_path_factory.mktemp("resume") / "slow.py"
    path.write_text(TINY.replace("    loss.backward()\n", "    loss.backward()\n    __import__('time').sleep(0.01)\n"))
    return path


@pytest.fixture(scope="module")
def unbroken(warm_servers: None, slow: Path) -> genbench.Record:
    (record,) = genbench.run([str(slow)], budget="200steps", out=slow.parent / "unbroken", **QUICK)
    assert record.finished
    return record


def arguments(out: Path, *models: Path) -> list[str]:
    named = [part for model in models for part in ("-m", str(model))]
    more = ["--out", str(out), "--budget", "200steps", "--checkpoint-interval", "0.05"]
    return ["run", *named, *more, "--seeds", "1", "--evaluations", "2", "--samples", "100", "--no-controls"]


def start(program: list[str], out: Path, *models: Path) -> subprocess.Popen[str]:
    command = [*program, *arguments(out, *models)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_all(process: subprocess.Popen[str]) -> None:
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that none sees another one end
        for member in family:
            if member.is_running():
                member.send_signal(number)
    process.communicate()
    psutil.wait_procs(family, timeout=10)


def kill_one(process: subprocess.Popen[str], out: Path, cell: str) -> None:
    """Kill the command alone, whose server then kills the worker, and wait until that has released its cell."""
    process.kill()
    process.communicate()
    lock = CellLock(out, cell)
    wait_for(lock.acquire)
    lock.release()


def wait_for(condition: Any, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def step_of(path: Path) -> int:
    return checkpoint.load(path)["progress"]["step"] if path.exists() else 0


def lasting(record: genbench.Record) -> dict[str, Any]:
    data = record.data
    curve = [{key: value for key, value in row.items() if key != "elapsed_s"} for row in data["curve"]]
    kept = ("id", "cell", "numbers", "recipes", "not_measured", "artifacts")
    return {"curve": curve, **{key: data[key] for key in kept}}


def test_a_run_that_is_killed_twice_ends_where_an_unbroken_one_ends(
    slow: Path, unbroken: genbench.Record, program: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    path = out / "checkpoints" / f"{unbroken.id}.pt"
    first = start([sys.executable, "-m", "genbench"], out, slow)  # no warm server: everything is killed
    wait_for(lambda: step_of(path) >= 30)
    kill_all(first)
    steps = [step_of(path)]
    assert not list((out / "records").glob("[!.]*"))
    second = start(program, out, slow)
    wait_for(lambda: step_of(path) >= 120)
    kill_one(second, out, unbroken.id)
    steps.append(step_of(path))
    assert not list((out / "records").glob("[!.]*"))
    assert 30 <= steps[0] < steps[1] < 200  # the second run continued where the first had stopped
    (out / "records" / ".partial-left.json").write_text("{")
    (record,) = genbench.run([str(slow)], budget="200steps", out=out, **QUICK)
    assert lasting(record) == lasting(unbroken)
    for name in record.data["artifacts"].values():
        assert (out / name).read_bytes() == (slow.parent / "unbroken" / name).read_bytes()
    left = [*out.rglob(".partial-*"), *out.glob("checkpoints/*"), *out.glob("locks/*")]
    assert left == []


def test_a_damaged_checkpoint_costs_time_and_nothing_else(
    command: Command, slow: Path, unbroken: genbench.Record, tmp_path: Path
) -> None:
    path = tmp_path / "out" / "checkpoints" / f"{unbroken.id}.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK\x03\x04 cut off")
    lines = command(*arguments(tmp_path / "out", slow), cwd=tmp_path).stderr
    assert re.search(rf"checkpoint \S+{unbroken.id}\.pt: cannot be restored: .*; training starts over", lines)
    (record,) = genbench.run([str(slow)], budget="200steps", out=tmp_path / "out", **QUICK)
    assert lasting(record) == lasting(unbroken)


def test_two_runs_at_once_share_the_cells(program: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    models = []
    for name in ("one", "two", "three"):
        models.append(tmp_path / f"{name}.py")
        models[-1].write_text(
            TINY.replace("    loss.backward()\n", "    loss.backward()\n    __import__('time').sleep(0.02)\n")
        )
    runs = [start(program, out, *models) for _ in range(2)]
    texts = [run.communicate(timeout=300)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], texts
    begun = [line for text in texts for line in text.splitlines() if line.endswith(" ...")]
    assert sorted(re.sub(r"^\[\d/3\] ", "", line) for line in begun) == [
        f"{name} on digits, seed 0 ..." for name in ("one", "three", "two")
    ]
    assert min(text.count(" ...\n") for text in texts) >= 1, "one of them did nothing"
    for text in texts:
        assert len(re.findall(r"^\[\d/3\] .* fd ", text, re.MULTILINE)) == 3  # each reports all of them
    assert len(list((out / "records").glob("*.json"))) == 3
    assert not list(out.rglob(".partial-*"))
    assert not (out / "locks").exists()
    assert not (out / "checkpoints").exists()


@pytest.fixture
def model() -> Model:
    net = nn.Linear(2, 2)
    return Model(nn.ModuleDict({"net": net}), {"net": torch.optim.SGD(net.parameters(), 0.1)})


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_full_disk_is_reported_once_and_the_previous_checkpoint_stays(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, warnings = tmp_path / "cell.pt", []
    autosave = checkpoint.Autosave(path, model, 1.0, Clock(), warnings.append)
    autosave.save({"step": 1})
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", full)
    autosave.save({"step": 2})
    autosave.save({"step": 3})
    assert warnings == ["checkpoint not written: No space left on device; training continues without it"]
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Any]:
    """Mount a disk of the given size, if this process may."""
    mounted = []

    def mount(size: str) -> Path:
        path = tmp_path / f"disk-{size}"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("this process may not mount a small disk")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        # A worker that has just been killed keeps the disk busy until it has ended.
        wait_for(lambda path=path: subprocess.run(["umount", str(path)], capture_output=True).returncode == 0, 20.0)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("80k", "genbench: No space left on device; finished work is safe"),  # no room for the report
        ("24k", "and its record cannot be written to"),
    ],
)
def test_a_full_disk_is_one_line_and_what_is_finished_stays(
    command: Command, slow: Path, small_disk: Any, size: str, message: str
) -> None:
    disk = small_disk(size)
    lines = command(*arguments(disk, slow), cwd=slow.parent, code=1).stderr
    assert "Traceback" not in lines
    assert message in lines.splitlines()[-1]
    assert "checkpoint not written: No space left on device; training continues without it" in lines
    assert len(list(disk.glob("records/*.json"))) == (size == "80k")


def test_checkpoints_cost_less_than_a_hundredth(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, writes = Clock(), []

    def write(*_: object) -> None:
        writes.append(clock.now)
        clock.now += 2.0

    monkeypatch.setattr(checkpoint, "save", write)
    autosave = checkpoint.Autosave(tmp_path / "cell.pt", model, None, clock, lambda text: None)
    while clock.now < 2000:
        clock.now += 1.0
        if autosave.is_due():
            autosave.save({})
    assert writes[0] == 31.0
    assert len(writes) == 10  # two seconds each, so one every 200 seconds
    assert not autosave.is_worth_it() or clock.now - writes[-1] > 200


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of the cell `a`."""
    program = (
        "import sys, pathlib, time\nfrom genbench.execution.cell_lock import CellLock\n"
        f"lock = CellLock(pathlib.Path({str(tmp_path)!r}), 'a')\nprint(lock.acquire(), flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_lock_is_one_processs_until_it_ends(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    lock = CellLock(tmp_path, "a")
    assert not lock.acquire()
    assert CellLock(tmp_path, "b").acquire()
    holder.kill()
    holder.wait()
    assert lock.acquire()
    lock.release()
    assert not (tmp_path / "locks" / "a").exists()


def test_a_lock_lives_as_long_as_a_worker_that_inherited_it(tmp_path: Path) -> None:
    lock = CellLock(tmp_path, "a")
    assert lock.acquire()
    worker = subprocess.Popen(["sleep", "60"], pass_fds=[lock.descriptor])
    os.close(lock.descriptor)  # as if this process had been killed
    assert not CellLock(tmp_path, "a").acquire()
    worker.kill()
    worker.wait()
    assert CellLock(tmp_path, "a").acquire()


def test_records_that_vanish_within_a_run_are_written_again(warm_servers: None, tmp_path: Path) -> None:
    step = "def train_step(model, batch):\n"
    assert step in TINY
    remove = f"    import shutil; shutil.rmtree({str(tmp_path / 'out' / 'records')!r}, ignore_errors=True)\n"
    (tmp_path / "good.py").write_text(TINY)
    (tmp_path / "removes.py").write_text(TINY.replace(step, step + remove))
    models = [str(tmp_path / f"{name}.py") for name in ("good", "removes")]
    found = genbench.run(models, out=tmp_path / "out", budget="2steps", **QUICK)
    assert {record.label for record in read_records(tmp_path / "out")} == {record.label for record in found}
    assert len(found) == 2


def test_a_damaged_record_is_named_before_anything_is_trained(slow: Path, unbroken: genbench.Record) -> None:
    out = slow.parent / "unbroken"
    path = out / "records" / f"{unbroken.id}.json"
    whole = path.read_text()
    data = json.loads(whole)
    data["numbers"]["fd"]["value"] /= 2
    path.write_text(json.dumps(data))
    try:
        with pytest.raises(genbench.GenbenchError, match=f"{path}.* was edited"):
            genbench.run([str(slow)], budget="200steps", out=out, **QUICK)
    finally:
        path.write_text(whole)
