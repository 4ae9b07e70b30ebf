"""Each cell takes a different one of the GPUs that workers declare; the declared GPUs do not exist."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("distributed")

from distributed import LocalCluster
from test_cluster_ending import MODEL, Server
from test_cluster_parts import worker

from genbench.config import Budget, Settings
from genbench.errors import InputError
from genbench.execution import engines
from genbench.execution.cluster import admission, host
from genbench.execution.cluster.address import Address
from genbench.execution.cluster.engine import DaskExecutor
from genbench.execution.cluster.pool import Pool
from genbench.execution.conditions import Conditions
from genbench.execution.limits import UNLIMITED
from genbench.machine import environment

Started = list[dict[str, Any]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The cells that the workers' fork servers are asked to run, in order."""
    payloads: Started = []

    class Noting(Server):
        def start(self, task: str, payload: Any, *more: Any) -> Any:
            if task == "run_cell":
                payloads.append(payload)
            return super().start(task, payload, *more)

    monkeypatch.setattr(host, "ForkServer", Noting)
    return payloads


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    """Two workers on one host that declare two GPUs each."""
    where: dict[str, Any] = {"protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    where |= {"local_directory": str(tmp_path / "workers"), "resources": {"GPU": 2}}
    with LocalCluster(processes=False, n_workers=2, threads_per_worker=3, **where) as running:
        yield running


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(executor: DaskExecutor, folder: Path, names: str) -> None:
    for name in names:
        cell = {"id": name, "directory": str(folder), "command": "", "cell": {"model": MODEL}}
        executor.start_cell(cell, lambda event: None, folder / name, UNLIMITED, [])


def joined(address: str, device: str = "auto", ranks: int = 1) -> DaskExecutor:
    return DaskExecutor(Address(address), None, False, print, device, ranks)


def gpus_of(started: Started, monkeypatch: pytest.MonkeyPatch, count: int) -> list[str]:
    """The devices that cells choose on a host with `count` GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    return sorted(str(environment.share("cuda", each["slot"], each["jobs"])) for each in started)


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_cells_of_one_host_take_different_gpus(
    cluster: LocalCluster, started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    with joined(cluster.scheduler_address, device) as executor:
        executor.prepare([])
        assert executor.free() == 4  # not six threads
        start(executor, tmp_path, "abcd")
        assert executor.free() == 0
        wait_for(lambda: len(started) == 4)
        resources = cluster.scheduler.workers.values()
        assert [each.used_resources for each in resources] == [{"GPU": 2}] * 2
    assert gpus_of(started, monkeypatch, 4) == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]  # every worker sees all four
    assert gpus_of(started, monkeypatch, 2) == ["cuda:0", "cuda:0", "cuda:1", "cuda:1"]  # each worker sees two


def test_cells_on_the_cpu_take_threads_although_gpus_are_declared(cluster: LocalCluster, started: Started) -> None:
    with joined(cluster.scheduler_address, "cpu") as executor:
        executor.prepare([])
        assert executor.free() == 6
        assert [place.resources for place in executor._pool.places.values()] == [None, None]


def test_a_cell_of_several_ranks_takes_as_many_gpus(cluster: LocalCluster, started: Started, tmp_path: Path) -> None:
    with joined(cluster.scheduler_address, "cuda", ranks=2) as executor:
        executor.prepare([])
        assert executor.free() == 2
        start(executor, tmp_path, "ab")
        wait_for(lambda: len(started) == 2)
        assert [each.used_resources for each in cluster.scheduler.workers.values()] == [{"GPU": 2}] * 2
    assert sorted(each["slot"] for each in started) == [0, 1]  # cuda:0 and 1, cuda:2 and 3


def test_runs_that_do_not_know_of_each_other_never_share_a_gpu(
    cluster: LocalCluster, started: Started, tmp_path: Path
) -> None:
    with joined(cluster.scheduler_address) as one, joined(cluster.scheduler_address) as two:
        for executor, names in ((one, "ab"), (two, "cd")):
            executor.prepare([])
            start(executor, tmp_path / names, names)
        wait_for(lambda: len(started) == 4)
    assert sorted(each["slot"] for each in started) == [0, 1, 2, 3]


def test_a_cell_waits_for_the_gpu_of_one_that_a_killed_run_has_left(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask has forgotten the first run's cell, and thinks that the worker's only GPU is free."""
    monkeypatch.setattr(host, "FOLLOWING_S", 0.01)
    serving = host.Host(tmp_path, lambda topic, message: None)
    serving.start()
    cell = {"id": "a", "directory": "", "cell": {"model": MODEL}, "slot": 0, "jobs": 1}
    asked = {"task": "run_cell", "payload": cell, "limits": {}, "topic": "", "model": None, "shared": None}
    asked |= {"anew": False, "slots": (0, 1)}
    assert serving.follow({**asked, "key": "left"}, lambda: bool(not started)) == {}
    other = threading.Thread(target=serving.follow, args=({**asked, "key": "new"}, lambda: len(started) < 2))
    other.start()
    wait_for(lambda: serving._delayed)
    assert len(started) == 1
    serving.end(["left"])
    other.join(60)
    assert len(started) == 2
    serving.end(["new"])
    serving.close()


def test_without_gpus_to_take_there_is_one_line(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "WORKERS_S", 0.5)
    folder = str(tmp_path / "workers")
    where: dict[str, Any] = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "local_directory": folder}
    with LocalCluster(processes=False, n_workers=1, threads_per_worker=1, protocol="tcp://", **where) as bare:
        at = bare.scheduler_address
        said = f"no worker at {at} declares a GPU, and cells take only what is declared; start workers with: "
        said += f"dask worker {at} --nthreads 1 --resources GPU=1"
        with pytest.raises(InputError) as caught, joined(at, "cuda"):
            pass
        assert str(caught.value) == said
        with pytest.raises(InputError, match=r"declares the 2 GPUs of --ranks 2, .* --resources GPU=2"):
            joined(at, "cuda", 2).__enter__()
        with joined(at) as executor:  # `auto`, and the worker has a GPU that it does not declare
            executor.prepare([])
            with pytest.raises(InputError) as caught:
                executor._admission.check_device("cuda")
            assert str(caught.value) == said
            executor._admission.check_device("cpu")
    settings = Settings(Budget(1, "steps"), device="cuda:1")
    with pytest.raises(InputError, match="device cuda:1 names one GPU, but on a cluster each cell takes a free one"):
        engines.executor_for(Conditions(cluster=at), settings, print)


def test_a_worker_that_comes_back_takes_the_gpus_that_nobody_has() -> None:
    pool = Pool("cuda")
    pool.add({name: worker("one", 2, 2) for name in "abc"})
    pool.remove("b")
    pool.add({"d": worker("one", 2, 2), "e": worker("two", 2, 2), "f": worker("one", 2)})
    assert {name: place.first for name, place in pool.places.items()} == {"a": 0, "c": 4, "d": 2, "e": 0}
