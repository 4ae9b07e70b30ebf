"""A cluster's cells are asked to end, through a real scheduler and real workers; only the cells are fakes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from distributed import LocalCluster

from genbench.execution.cluster import host
from genbench.execution.cluster.address import Address
from genbench.execution.cluster.engine import DaskExecutor
from genbench.execution.cluster.sent import Sent
from genbench.execution.limits import UNLIMITED
from genbench.execution.running import Outcome

MODEL = {"name": "model", "options": {}}
Event = dict[str, Any]


class Task:
    """What a fork server runs: a check answers immediately, a cell trains until it is asked to end."""

    def __init__(self, number: int, task: str, on_event: Callable[[Event], None]) -> None:
        self.number, self.task, self.on_event = number, task, on_event
        self.outcome, self.step, self.asked, self.killed = Outcome(), 0, False, False

    def ask_to_end(self) -> None:
        self.asked = True

    def kill(self) -> None:
        self.killed = True

    def is_over(self) -> bool:
        self.step += 1
        if self.task != "run_cell":
            self.outcome.value = {"fingerprint": 7}
        elif self.asked:
            self.on_event({"event": "notice", "text": f"ends after step {self.step}"})
        self.on_event({"event": "progress", "stage": "training", "done": self.step, "total": 100})
        return self.task != "run_cell" or self.asked or self.killed


class Server:
    """The part of `ForkServer` that a worker's host uses."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.numbers = itertools.count()
        self.running: list[Task] = []

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, task: str, payload: object, on_event: Callable[[Event], None], *_: object) -> Task:
        self.running.append(Task(next(self.numbers), task, on_event))
        return self.running[-1]

    def wait(self, _: float) -> list[Task]:
        time.sleep(0.02)
        ended = [task for task in self.running if task.is_over()]
        self.running = [task for task in self.running if task not in ended]
        return ended


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    monkeypatch.setattr(host, "ForkServer", Server)
    where = {"protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    folder = str(tmp_path / "workers")
    with LocalCluster(processes=False, n_workers=2, threads_per_worker=1, local_directory=folder, **where) as started:
        yield started


def running(executor: DaskExecutor, folder: Path, events: list[Event]) -> list[Sent]:
    """Start a cell on each of two workers, and return once both are training."""
    executor.prepare([])
    assert executor.run("check_data", {"dataset": "digits", "model": MODEL}).value == {"fingerprint": 7}
    assert executor.free() == 2
    cells: list[dict[str, Any]] = [
        {"id": name, "directory": str(folder), "command": "", "cell": {"model": MODEL}} for name in "ab"
    ]
    sent = [executor.start_cell(cell, events.append, folder / cell["id"], UNLIMITED, []) for cell in cells]
    deadline = time.monotonic() + 60
    while len(events) < 2:
        assert time.monotonic() < deadline
        assert executor.wait(0.1) == []
    return sent


@pytest.mark.parametrize("shared", [True, False])
def test_cells_are_asked_where_their_checkpoints_are_kept(cluster: LocalCluster, tmp_path: Path, shared: bool) -> None:
    folder = str(tmp_path / "shared") if shared else None
    if folder:
        Path(folder).mkdir()
    events: list[Event] = []
    asked: list[None] = []
    with DaskExecutor(Address(cluster.scheduler_address, None), folder, False, print) as executor:
        sent = running(executor, tmp_path, events)
        executor.ask_to_end(60.0, lambda: asked.append(None))
    assert len(asked) == shared
    assert [each.ended for each in sent] == [shared] * 2
    assert sum(event["event"] == "notice" for event in events) == 2 * shared


def test_a_cell_that_does_not_end_is_waited_for_no_longer_than_allowed(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Task, "ask_to_end", lambda task: None)
    with DaskExecutor(Address(cluster.scheduler_address, None), str(tmp_path), False, print) as executor:
        sent = running(executor, tmp_path, [])
        begun = time.monotonic()
        executor.ask_to_end(0.3, lambda: None)
        assert time.monotonic() - begun >= 0.3
    assert [each.ended for each in sent] == [False] * 2
