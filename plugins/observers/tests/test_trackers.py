"""Each tracker, read back with its own library: a killed and resumed run, failures, full folders."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import genbench

# MLflow raises it about its own use of SQLAlchemy; an error in its first call breaks every later one.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROOT = Path(__file__).parents[3]
TINY = ROOT / "tests" / "models" / "tiny.py"
TRACKERS = [name for name in ("tensorboard", "mlflow", "wandb", "trackio") if importlib.util.find_spec(name)]
BRIEF = ["--seeds", "1", "--samples", "50", "--metrics", "frechet_distance"]
NOISY = {"WANDB_SILENT": "true", "OMP_NUM_THREADS": "1", "GIT_PYTHON_REFRESH": "quiet"}

needs = {
    name: pytest.mark.skipif(
        name not in TRACKERS, reason=f"{name} is not installed; `make adapters` installs it and runs these tests"
    )
    for name in ("tensorboard", "mlflow", "wandb")
}
needs["trackio"] = pytest.mark.skipif(
    "trackio" not in TRACKERS, reason="trackio is not installed, nor by `make adapters`: it needs an older Pillow"
)
if not importlib.util.find_spec("genbench_observers"):
    pytest.skip("genbench-observers is not installed; see `make adapters`", allow_module_level=True)
if not TRACKERS:
    pytest.skip("no tracker is installed; `make adapters` installs them and runs these tests", allow_module_level=True)


def observe(folder: Path) -> list[str]:
    """The flags that enable each installed tracker, writing to a folder; Trackio takes its own from the environment."""
    options = {
        "tensorboard": f"dir={folder}/tensorboard",
        "mlflow": f"uri=sqlite:///{folder}/mlflow.db",
        "wandb": f"dir={folder}",
        "trackio": "project=genbench",
    }
    return [part for name in TRACKERS for part in ("--observe", f"{name}:{options[name]}")]


def start(out: Path, *arguments: str, trackio: Path | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "genbench", "run", "--out", str(out), *BRIEF, *arguments]
    environment = {**os.environ, **NOISY, "TRACKIO_DIR": str((trackio or out.parent) / "trackio")}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=out.parent
    )


def run(out: Path, *arguments: str, code: int = 0, trackio: Path | None = None) -> str:
    process = start(out, *arguments, trackio=trackio)
    said = process.communicate(timeout=900)[1]
    assert process.returncode == code, said
    return said


def records(out: Path) -> list[genbench.Record]:
    return [genbench.Record(json.loads(path.read_text())) for path in sorted((out / "records").glob("*.json"))]


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill the run and everything it started, including the trackers' own processes."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(number)
    process.communicate()
    psutil.wait_procs(family, timeout=10)


def waiting_model(folder: Path) -> Path:
    """A model that waits before step 60 until the folder has a file `go`, so that every tracker can catch up."""
    there = f"__import__('os').path.exists({str(folder / 'go')[::-1]!r}[::-1])"  # so that the source names no file
    path = folder / "waits.py"
    source = TINY.read_text().replace("def train_step(model, batch)", "def train_step(model, batch, step)")
    line = "    loss.backward()\n"
    waits = f"    while step == 60 and not {there}:\n        __import__('time').sleep(0.05)\n"
    path.write_text(source.replace(line, f"{line}    __import__('time').sleep(0.02)\n{waits}"))
    return path


# Reading back: a tracker's runs by name, each with its curves by tag, as the (step, value) pairs that it stored.

Curves = dict[str, list[tuple[int, float]]]


def tensorboard_runs(folder: Path) -> dict[str, Curves]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    runs: dict[str, Curves] = {}
    for path in sorted((folder / "tensorboard").glob("*/*")):
        read = EventAccumulator(str(path), size_guidance={"scalars": 0})
        read.Reload()
        runs[path.name] = {
            tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]
        }
    return runs


def mlflow_runs(folder: Path) -> dict[str, Curves]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    found = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return {
        each.info.run_name: {
            name: [(metric.step, metric.value) for metric in client.get_metric_history(each.info.run_id, name)]
            for name in each.data.metrics
        }
        for each in found
    }


def wandb_runs(folder: Path) -> dict[str, Curves]:
    """The contents of all files of each run id, in the order in which they would be uploaded."""
    from genbench_observers.wandb import _records

    runs: dict[str, Curves] = {}
    for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        for record in _records(path):
            if record.HasField("run"):
                runs.setdefault(record.run.run_id, {})
            if record.HasField("history"):
                values = {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
                for key, value in values.items():
                    name = path.stem.removeprefix("run-")
                    runs[name].setdefault(key, []).append((int(values["_step"]), float(value)))
    return runs


def trackio_runs(folder: Path) -> dict[str, Curves]:
    runs: dict[str, Curves] = {}
    with contextlib.closing(sqlite3.connect(folder / "trackio" / "genbench.db")) as database:
        for name, step, metrics in database.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id"):
            for key, value in json.loads(metrics).items():
                runs.setdefault(name, {}).setdefault(key, []).append((step, value))
    return runs


READERS: dict[str, Callable[[Path], dict[str, Curves]]] = {
    "tensorboard": tensorboard_runs,
    "mlflow": mlflow_runs,
    "wandb": wandb_runs,
    "trackio": trackio_runs,
}


def lacking_points(folder: Path) -> str:
    """Say which tracker has no curve points yet; W&B buffers them for a long time, so a run is enough there."""
    for name in TRACKERS:
        try:
            runs = READERS[name](folder)
        except Exception as problem:  # its store does not exist yet
            return f"{name}: {problem!r}"
        steps = [step for curves in runs.values() for step, _ in curves.get("progress/items", [])]
        if not runs or (name != "wandb" and max(steps, default=0) < 10):
            return f"{name}: {len(runs)} runs, steps {steps}"
    return ""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed midway and then resumed to its end, observed by all trackers."""
    folder = tmp_path_factory.mktemp("killed")
    more = ["-m", str(waiting_model(folder)), "--budget", "100steps", "--evaluations", "4", "--no-controls"]
    more += ["--checkpoint-interval", "0.3", *observe(folder)]
    process = start(folder / "out", *more)
    deadline = time.monotonic() + 550
    while lacking := lacking_points(folder):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, lacking
        time.sleep(0.5)
    kill_all(process)
    (folder / "go").touch()
    said = run(folder / "out", *more)
    assert "resumes after step" in said
    assert "observer " not in said
    return folder


@pytest.mark.parametrize("tracker", [pytest.param(name, marks=needs[name]) for name in READERS])
def test_a_cell_that_is_killed_and_resumed_shows_its_curve_once(tracker: str, killed: Path) -> None:
    (record,) = records(killed / "out")
    ((_, curves),) = READERS[tracker](killed).items()
    rows = record.data["curve"]
    expected = {
        "progress/items": [(row["step"], row["items"]) for row in rows],
        "losses/energy": [(row["step"], row["losses"]["energy"]) for row in rows if row["losses"]],
        "quality/fd": [(row["step"], row["numbers"]["fd"]) for row in rows if row["numbers"]],
    }
    for tag, points in expected.items():
        assert [step for step, _ in curves[tag]] == [step for step, _ in points], tag
        assert [value for _, value in curves[tag]] == pytest.approx([value for _, value in points], rel=1e-6), tag


@needs["mlflow"]
def test_mlflow_keeps_pictures_next_to_its_database(killed: Path) -> None:
    """Not in the working directory, where MLflow would put them by default."""
    assert list((killed / "mlartifacts").rglob("samples/*.png"))
    assert not (killed / "mlruns").exists()


# Failures, and folders that are full or read-only.


@contextlib.contextmanager
def tiny_disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a separate file system, such as a small one, on a folder; skip if this user may not."""
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def lasting(record: genbench.Record) -> dict[str, Any]:
    """The parts of a record that do not depend on when it was made: all but times and memory."""
    data = {
        name: value
        for name, value in record.data.items()
        if name not in ("started_at", "finished_at", "sha256", "cost")
    }
    data["curve"] = [{name: value for name, value in row.items() if name != "elapsed_s"} for row in data["curve"]]
    return data


@pytest.mark.parametrize("state", ["full", "read-only"])
def test_a_folder_that_is_full_or_read_only_costs_a_warning_each_and_changes_no_record(
    state: str, tmp_path: Path
) -> None:
    more = ["-m", str(TINY), "--budget", "40steps", "--evaluations", "2", "--control", "real"]
    run(tmp_path / "unobserved", *more)
    with tiny_disk(tmp_path / "disk", "size=64k" if state == "full" else "size=1m") as disk:
        if state == "full":
            with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
                file.write(b"x" * 52_000)
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        said = run(tmp_path / "observed", *more, *observe(disk), trackio=disk)
    warned = sorted(line.split()[1].partition(":")[0] for line in said.splitlines() if line.startswith("  observer "))
    assert warned == sorted(TRACKERS), said
    assert [lasting(each) for each in records(tmp_path / "observed")] == [
        lasting(each) for each in records(tmp_path / "unobserved")
    ]
