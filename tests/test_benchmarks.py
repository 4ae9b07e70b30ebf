"""The scripts and suites in benchmarks/ can be loaded; `make bench` runs what they time."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
# The other scripts in that folder import the peers, which are not installed for the tests.
PEERS = [FOLDER / "peers" / name for name in ("core_distance.py", "turns.py")]


@pytest.mark.parametrize("path", [*sorted(FOLDER.glob("*.py")), *PEERS], ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(path.parent)  # as Python does for a script
    assert runpy.run_path(str(path), run_name="loaded")["__doc__"]


def test_the_distance_between_two_processors_is_timed() -> None:
    core_distance = runpy.run_path(str(PEERS[0]))["core_distance"]
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) > 1:
        assert 1 < core_distance((allowed[0], allowed[1])) < 1e6
    assert core_distance((allowed[0], 4096)) is None  # no such processor


@pytest.mark.parametrize(
    ("distances", "caches"),
    [((150, 160, 155), "shared"), ((330, 340, 390), "apart"), ((150, 340, 150), "moved"), ((), "unknown")],
)
def test_a_turn_knows_whether_its_processors_shared_a_cache(
    distances: tuple[float, ...], caches: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(PEERS[0].parent)
    turn = runpy.run_path(str(PEERS[1]))["Turn"](3000.0, 2000.0, distances)
    assert turn.caches == caches
    assert turn.ratio == 1.5
