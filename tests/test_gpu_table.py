"""The script for a GPU: its rehearsal without one, and its one-line error where it needs one."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from genbench.config import ModelSpec
from genbench.plugin import finding, loading
from genbench.regression import workload


@pytest.fixture
def gpu_table() -> Any:
    return importlib.import_module("gpu_table")  # pytest's settings put benchmarks/ on the path


def test_a_rehearsal_writes_the_table_and_what_it_was_measured_on(
    gpu_table: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny: Path
) -> None:
    sizes = replace(gpu_table.QUICK, models=(f"{tiny}:width=8",), steps=2)
    monkeypatch.setattr(gpu_table, "QUICK", sizes)
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    gpu_table.main(["--device", "cpu", "--quick", "--out", str(tmp_path)])
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["what"].partition(",")[0], row["mode"]) for row in rows] == [
        *((sizes.models[0], mode) for mode in ("fp32", "bf16", "compile")),
        *(("extraction", precision) for precision in ("fp32", "bf16")),
        *((part, precision) for precision in ("fp32", "bf16") for part in ("the data's features", "suite", "suite")),
    ]
    assert all(float(row["images_per_s"] or row["seconds"]) > 0 for row in rows)
    page = (tmp_path / "README.md").read_text()
    assert "A rehearsal without a GPU: no figures." in page
    assert page.count("\n| ") == len(rows) + 2
    cells = [line.split(" | ") for line in page.splitlines() if line.startswith(f"| {sizes.models[0]} ")]
    assert ["%" in share for _, _, _, _, share, *_ in cells] == [True] * 3
    assert not (tmp_path / "cache").exists()  # features of noise are not cached
    assert json.loads((tmp_path / "environment.json").read_text())["measured"]["steps"] == 2


def test_all_take_turns_in_either_order_and_the_first_turn_warms_up(gpu_table: Any) -> None:
    gpu_rows = importlib.import_module("gpu_rows")
    called: list[str] = []

    def loop(name: str) -> Callable[[], float]:
        return lambda: called.append(name) or float(len(called))  # type: ignore[func-returns-value]

    assert gpu_rows.in_turn({"a": loop("a"), "b": loop("b")}, 2) == {"a": [4.0, 5.0], "b": [3.0, 6.0]}
    assert called == ["a", "b", "b", "a", "a", "b"]


def test_the_bare_loop_s_rate_is_images_over_seconds(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
    bare_loop = importlib.import_module("bare_loop")
    ticks = iter([10.0, 12.0])
    monkeypatch.setattr(bare_loop.cost, "clock", lambda device: lambda: next(ticks))
    plugin = loading.load(finding.find(ModelSpec(str(tiny))))
    shape, device = torch.Size((1, 8, 8)), torch.device("cpu")
    model = bare_loop.build(plugin, shape, device)
    before = [value.clone() for value in model.networks.parameters()]
    loop = bare_loop.Loop(plugin, model, workload.random_split(shape, 16), batch_size=4, steps=3, device=device)
    turn = loop.turn(loop.bare)
    assert turn.rate == 4 * 3 / 2
    assert 0 < turn.outside_s < 2 / 3  # the steps are timed by the real clock
    assert len(loop.inside) == 3
    assert any(not torch.equal(one, other) for one, other in zip(before, model.networks.parameters(), strict=True))


@pytest.mark.parametrize("arguments", [[], ["--device", "cpu"]])
def test_without_a_gpu_one_line_says_so(
    gpu_table: Any, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        gpu_table.main(arguments)
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("gpu_table: needs an NVIDIA GPU")
