"""Cells that stop when their target is met, even if they are killed on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genbench import cell
from genbench.config import Budget, Cell, ModelSpec, Settings
from genbench.evaluation.selection import select
from genbench.evaluation.trained import Evaluation
from genbench.plugin import finding, world
from genbench.records.record import checkpoint_path, record_path
from genbench.training.checkpoint import Autosave

ID = "0123456789abcdef"
MEASURED = {metric.name: metric.version for metric in select(("fd",), "image")}


class Killed(BaseException):
    """Ends a cell midway, as a signal does."""


@pytest.fixture(scope="module")
def unbroken(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A cell of 24 steps with an evaluation every 4."""
    return run(tiny, tmp_path_factory.mktemp("unbroken"), [])


def run(tiny: Path, directory: Path, events: list[Any], **more: Any) -> dict[str, Any]:
    fixed: dict[str, Any] = {"evaluations": 6, "samples": 100, "batch_size": 32, "device": "cpu", "metrics": ("fd",)}
    spec = ModelSpec(str(tiny))
    payload = {
        "cell": Cell(spec, "digits", 0, Settings(Budget.parse("24steps"), **fixed, **more)).to_json(),
        "id": ID,
        "description": {"samples": 100, "device": "cpu", "plugin": {}, "dataset": {}, "metrics": MEASURED},
        "distribution": "file",
        "covered": finding.find(spec).coverage(spec.options).to_json(),
        "directory": str(directory),
        "command": "genbench run",
        "checkpoint_interval": None,
        "grace": 10.0,
        "jobs": 1,
        "slot": 0,
    }
    with world.kept():
        cell.run(json.loads(json.dumps(payload)), events.append)
    found: dict[str, Any] = json.loads(record_path(directory, ID).read_text())
    return found


def evaluations(record: dict[str, Any]) -> list[tuple[int, float]]:
    return [(point["step"], point["numbers"]["fd"]) for point in record["curve"] if point["numbers"]]


def bound_between(unbroken: dict[str, Any]) -> tuple[int, str]:
    """Return the step of an evaluation in the middle, and a target that is first met there."""
    found = evaluations(unbroken)
    place = next(i for i in range(2, 6) if found[i][1] < min(value for _, value in found[:i]))
    least = min(value for _, value in found[:place])
    return found[place][0], f"fd<{(found[place][1] + least) / 2}"


def untimed(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in point.items() if name != "elapsed_s"} for point in record["curve"]]


def test_training_ends_at_the_evaluation_that_met_it(tiny: Path, unbroken: dict[str, Any], tmp_path: Path) -> None:
    step, target = bound_between(unbroken)
    events: list[Any] = []
    record = run(tiny, tmp_path, events, target=(target,), stop_at_target=True)
    assert 0 < step < 24
    assert record["cost"]["steps"] == step
    assert record["cost"]["items"] == 32 * step
    assert untimed(record) == [point for point in untimed(unbroken) if point["step"] <= step]
    assert record["numbers"]["fd"]["value"] == dict(evaluations(unbroken))[step]  # of the model at that step
    assert f"target {target} met: training ends after step {step}" in [event.get("text") for event in events]


def test_without_the_flag_and_where_it_is_never_met_training_goes_on(
    tiny: Path, unbroken: dict[str, Any], tmp_path: Path
) -> None:
    _, target = bound_between(unbroken)
    for name, more in {
        "looked at": {"target": (target,)},
        "never met": {"target": (target, "fd<1e-9"), "stop_at_target": True},
    }.items():
        events: list[Any] = []
        record = run(tiny, tmp_path / name, events, **more)
        assert untimed(record) == untimed(unbroken)
        assert not any("met: training ends" in str(event.get("text")) for event in events)


@pytest.mark.parametrize("killed_in", ["final", "curve_point"])
def test_a_cell_that_was_killed_stops_where_it_would_have(
    tiny: Path, unbroken: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    """Killed during or after the evaluation that met the target: the second run does not go past it."""
    step, target = bound_between(unbroken)
    monkeypatch.setattr(Autosave, "is_due", lambda self: True)
    genuine = getattr(Evaluation, killed_in)

    def kill(self: Evaluation) -> Any:
        if killed_in == "final" or len(seen) == step // 4:
            raise Killed
        seen.append(None)
        return genuine(self)

    seen: list[None] = []
    monkeypatch.setattr(Evaluation, killed_in, kill)
    with pytest.raises(Killed):
        run(tiny, tmp_path, [], target=(target,), stop_at_target=True)
    assert checkpoint_path(tmp_path, ID).exists()
    monkeypatch.setattr(Evaluation, killed_in, genuine)
    events: list[Any] = []
    record = run(tiny, tmp_path, events, target=(target,), stop_at_target=True)
    assert any(str(event.get("text")).startswith("resumes after step") for event in events)
    assert record["cost"]["steps"] == step
    assert untimed(record) == [point for point in untimed(unbroken) if point["step"] <= step]


def test_a_target_that_is_met_before_the_first_step(tiny: Path, unbroken: dict[str, Any], tmp_path: Path) -> None:
    record = run(tiny, tmp_path, [], target=("fd<1e9",), stop_at_target=True)
    assert (record["cost"]["steps"], record["cost"]["train_items_per_s"]) == (0, None)
    assert untimed(record) == untimed(unbroken)[:1]
    assert record["numbers"]["fd"]["value"] == evaluations(unbroken)[0][1]
    assert record["cost"]["train_flops_per_item"] == unbroken["cost"]["train_flops_per_item"]
