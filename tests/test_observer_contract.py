"""The contract of observers finds what would disturb a benchmark, or never end."""

from __future__ import annotations

from pathlib import Path

import pytest

from genbench.contract import BroughtContract
from genbench.contract.brought import stage

OBSERVER = '''"""Does one thing."""

import os
import time

from genbench import Observer, hookimpl


class Own(Observer):
    def {method}:
        {does}


@hookimpl
def build_observer(options):
    return Own(**options)
'''


def result(folder: Path, check: str, does: str, method: str = "begin(self, benchmark)") -> str:
    path = folder / "own.py"
    path.write_text(OBSERVER.format(method=method, does=does))
    contract = BroughtContract(str(path), "observer")
    return str(contract.result(contract.checks[check]))


def test_an_observer_that_moves_to_another_folder_is_found(tmp_path: Path) -> None:
    assert "the working directory to stay unchanged" in result(tmp_path, "surroundings", "os.chdir('/')")
    assert result(tmp_path, "surroundings", "os.listdir('/')") == "None"


@pytest.mark.parametrize("method", ["begin(self, benchmark)", "points(self, cell, points)", "end(self)"])
def test_an_observer_that_never_returns_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(stage, "LIMIT_S", 0.2)
    assert "one that did not within 0.2 s" in result(tmp_path, "tells", "time.sleep(60)", method)


def test_an_observer_that_ends_the_process_does_not_pass(tmp_path: Path) -> None:
    assert "os._exit(0)" in result(tmp_path, "tells", "os._exit(0)")
    forks = "child = os.fork() or os._exit(7); assert os.waitpid(child, 0)[1] == 7 << 8"
    assert result(tmp_path, "tells", forks) == "None"
