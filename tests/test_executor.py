"""The executor protocol: a benchmark runs on whatever implements it, and names no implementation."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Any

import pytest

import genbench.execution.benchmark
from genbench.config import Benchmark, Cell, ModelSpec, Settings
from genbench.execution import benchmark
from genbench.execution.benchmark import run_benchmark
from genbench.execution.conditions import Conditions
from genbench.execution.limits import Limits
from genbench.execution.local import ForkServer
from genbench.execution.planning import Planned
from genbench.execution.running import Outcome
from genbench.progress import Silence
from genbench.records.record import cell_id, write_record
from genbench.records.schemas import SCHEMA


def test_the_benchmark_names_no_engine() -> None:
    for module in ("benchmark", "planning", "executor"):
        path = Path(genbench.execution.benchmark.__file__).with_name(f"{module}.py")
        assert not re.findall(r"(?i)fork|dask|distributed|execution\.(?:local|server|worker\b)", path.read_text())


class Away:
    """An executor whose places come and go, and whose cells do not end in the order in which they started."""

    def __init__(self, places: list[int]) -> None:
        self.places = deque(places)  # the number of places, after each wait
        self.running: list[Any] = []
        self.payloads: list[dict[str, Any]] = []

    def __enter__(self) -> Away:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.running == []

    def free(self) -> int:
        return self.places[0] - len(self.running)

    def start_cell(self, payload: dict[str, Any], on_event: Any, log: Path, limits: Limits, held: list[int]) -> Any:
        assert self.free() > 0
        assert held
        self.payloads.append(payload)
        started = type("Started", (), {"number": len(self.payloads), "outcome": Outcome(), "payload": payload})()
        self.running.append(started)
        return started

    def wait(self, timeout: float | None = None) -> list[Any]:
        if len(self.places) > 1:
            self.places.popleft()
        if not self.running:
            return []
        started = self.running.pop()
        payload = started.payload
        if payload["description"]["seed"] == 1:
            started.outcome.reason = "its worker was lost"
            return [started]
        empty: dict[str, Any] = {name: {} for name in ("numbers", "recipes", "cost", "environment")}
        cell = {"schema": SCHEMA, "id": payload["id"], "cell": payload["description"], "status": "finished"}
        write_record(Path(payload["directory"]), {**cell, **empty, "curve": []})
        started.outcome.value = {"id": payload["id"]}
        return [started]


def planned(seed: int) -> Planned:
    description = {"model": "vae", "label": "vae", "role": "model", "seed": seed, "dataset": {"name": "digits"}}
    description |= {"plugin": None, "budget": "1steps"}
    return Planned(Cell(ModelSpec("vae"), "digits", seed, Settings()), cell_id(description), description)


def test_a_benchmark_runs_over_an_executor_that_has_no_place_for_a_while(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    away, cells = Away([0, 0, 2, 1, 0, 3]), [planned(seed) for seed in range(5)]
    monkeypatch.setattr(benchmark, "executor_for", lambda *_: away)
    monkeypatch.setattr(benchmark, "plan", lambda *_: cells)
    records = run_benchmark(Benchmark((), controls=()), tmp_path, Silence(), "genbench run")
    assert [record.seed for record in records] == [0, 1, 2, 3, 4]
    assert [record.failed for record in records] == [False, True, False, False, False]
    assert records[1].failure["reason"] == "its worker was lost"  # type: ignore[index]
    assert len(away.payloads) == 5
    assert not {"slot", "jobs"} & away.payloads[0].keys()  # the benchmark does not decide where a cell runs
    assert not (tmp_path / "locks").exists()


def test_cells_of_this_machine_get_the_slots_that_are_free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server, asked = ForkServer(Conditions(jobs=3).jobs), []

    def start(task: str, payload: dict[str, Any], *_: object) -> Any:
        asked.append((task, payload["slot"], payload["jobs"]))
        return type(
            "Running", (), {"number": len(asked), "events": 0, "is_open": False, "conclude": lambda self: None}
        )()

    monkeypatch.setattr(server, "start", start)
    started = [server.start_cell({}, print, tmp_path, Limits(), []) for _ in range(3)]
    assert server.free() == 0
    server._running = {each.number: each for each in started}
    server._conclude(started[1])
    assert server.free() == 1
    server.start_cell({}, print, tmp_path, Limits(), [])
    assert asked == [("run_cell", 0, 3), ("run_cell", 1, 3), ("run_cell", 2, 3), ("run_cell", 1, 3)]
