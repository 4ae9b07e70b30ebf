"""Writing, reading and reporting 10,000 records: `pytest benchmarks/bench_records.py`.

`GENBENCH_BENCH_RECORDS` sets a different number. The records are those of the report's own tests, of 8 models and
controls.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genbench.records.files import read_records
from genbench.records.record import write_record
from genbench.report import render_directory

COUNT = int(os.environ.get("GENBENCH_BENCH_RECORDS", "10000"))
TOYS = Path(__file__).parent.parent / "tests" / "test_report" / "conftest.py"


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    spec = importlib.util.spec_from_file_location("toy_records", TOYS)
    assert spec is not None
    assert spec.loader is not None
    toys = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toys)
    labels = (*toys.MODELS, *toys.CONTROLS)
    return [toys.make_record(labels[number % len(labels)], number // len(labels)) for number in range(COUNT)]


@pytest.fixture(scope="module")
def directory(records: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    for record in records:
        write_record(folder, record)
    return folder


def test_writing(benchmark: Any, timed: Callable[..., None], records: list[dict[str, Any]], tmp_path: Path) -> None:
    """Each flushed to the disk: only 1,000 of them, because this measures the disk more than our code."""
    some = records[:1000]

    def write() -> None:
        for record in some:
            write_record(tmp_path, record)

    timed(write, rounds=2, records=len(some))


def test_reading(timed: Callable[..., None], directory: Path) -> None:
    timed(lambda: read_records(directory), rounds=2, records=COUNT)


def test_rendering(timed: Callable[..., None], directory: Path) -> None:
    timed(lambda: render_directory(directory), rounds=1, records=COUNT)
