"""The scripts and suites in benchmarks/ can be loaded: what they time is run by `make bench`, not here."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(path: Path) -> None:
    assert runpy.run_path(str(path), run_name="loaded")["__doc__"]
