"""The script for a GPU: rehearsed where there is none, which it says in one line."""

from __future__ import annotations

import csv
import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture
def gpu_table() -> Any:
    return importlib.import_module("gpu_table")  # pytest's settings put benchmarks/ on the path


def test_a_rehearsal_writes_the_table_and_what_it_was_measured_on(
    gpu_table: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny: Path
) -> None:
    sizes = replace(gpu_table.QUICK, models=(f"{tiny}:width=8",), steps=2, metrics=("fd",))
    monkeypatch.setattr(gpu_table, "QUICK", sizes)
    monkeypatch.setenv("GENBENCH_CACHE", "")  # put back after the test
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
    assert json.loads((tmp_path / "environment.json").read_text())["measured"]["steps"] == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
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
