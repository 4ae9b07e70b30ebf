"""How many threads a container's share allows, from control groups that the test sets up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from genbench.machine import environment, processors


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)


def lay_out(folder: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    (folder / "cgroup").write_text(own)
    for name, text in files.items():
        path = folder / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "cgroup", folder / "groups"


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 64),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, 64),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/pod/box\n", {"pod/cpu.max": "300000 100000\n", "pod/box/cpu.max": "max 100000\n"}, 3),
        ("4:cpu,cpuacct:/box\n", {"cpu/box/cpu.cfs_quota_us": "400000", "cpu/box/cpu.cfs_period_us": "100000"}, 4),
        ("4:cpu,cpuacct:/box\n", {"cpu/box/cpu.cfs_quota_us": "-1", "cpu/box/cpu.cfs_period_us": "100000"}, 64),
        ("4:memory:/box\n", {"box/cpu.max": "200000 100000\n"}, 64),
        ("0::/\n", {}, 64),
        ("nonsense\n", {"cpu.max": "nonsense\n"}, 64),
    ],
)
def test_a_quota_bounds_the_processors(tmp_path: Path, own: str, files: dict[str, str], expected: int) -> None:
    assert processors.allowed(*lay_out(tmp_path, own, files)) == expected


@pytest.mark.usefixtures("many")
def test_without_control_groups_all_are_allowed(tmp_path: Path) -> None:
    assert processors.allowed(tmp_path / "none", tmp_path) == 64


@pytest.mark.parametrize(
    ("given", "jobs", "expected"), [(None, 1, 3), (None, 2, 1), (None, 4, 1), ("8", 1, 8), ("8", 2, 4)]
)
def test_torch_gets_no_more_threads_than_are_allowed(
    monkeypatch: pytest.MonkeyPatch, given: str | None, jobs: int, expected: int
) -> None:
    monkeypatch.setattr(processors, "allowed", lambda: 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    took: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", took.append)
    if given is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", given)

    environment.share("cpu", jobs=jobs)

    assert (took or [8]) == [expected]
