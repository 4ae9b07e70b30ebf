"""A command that is interrupted, loses its reader or cannot write its files ends with at most one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from genbench.records.record import write_record

HERE = Path(__file__).parent
MAIN = "from genbench.cli import main; main()"
TINY = str(HERE / "models" / "tiny.py")
CELL = {"model": "vae", "label": "vae", "role": "model", "seed": 0, "dataset": {"name": "digits"}, "budget": "9steps"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    parts = {name: {} for name in ("numbers", "recipes", "cost", "environment")}
    write_record(
        tmp_path / "run", {"schema": 2, "id": "0f" * 8, "status": "failed", "cell": CELL, "curve": [], **parts}
    )
    return tmp_path / "run"


def ended(*arguments: object, **more: str) -> tuple[int, list[str]]:
    """Return a command's exit code and the lines that it wrote to standard error."""
    command = [sys.executable, "-c", MAIN, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | more)
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_no_regression_and_says_what_to_do(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", MAIN, "run", "-m", TINY, "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "checking digits\n"
        process.send_signal(number)
        lines = process.stderr.read().strip().splitlines()
    assert lines == ["genbench: interrupted; repeat the command to resume"]
    assert process.returncode == 130


@pytest.mark.parametrize("place", ["run/records", "run/records/x/y.json", "file/x.json"])
def test_a_baseline_that_cannot_be_written_is_one_line(folder: Path, place: str) -> None:
    (folder.parent / "file").write_text("")
    if place.endswith("y.json"):
        (folder / "records" / "x").write_text("")
    code, lines = ended("baseline", folder, "--out", folder.parent / place)
    assert (code, len(lines)) == (1, 1)
    assert str(folder.parent) in lines[0]
    assert lines[0].endswith("; finished work is safe: fix that and run the same command again")


def test_a_page_that_is_a_folder_is_one_line(folder: Path) -> None:
    (folder / "report.md").mkdir()
    code, lines = ended("report", folder)
    assert (code, len(lines)) == (1, 1)
    assert f"{folder / 'report.md'}: Is a directory" in lines[0]


def test_a_cache_that_cannot_be_written_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, lines = ended("run", "-m", TINY, "--out", tmp_path / "out", GENBENCH_CACHE=str(tmp_path / "file"))
    assert (code, lines[:-1]) == (2, ["checking digits"])
    assert "set GENBENCH_CACHE to another folder" in lines[-1]


def test_a_model_whose_name_is_no_text(tmp_path: Path) -> None:
    code, lines = ended("run", "-m", os.fsdecode(b"./caf\xe9.py"), "--out", tmp_path / "out")
    assert (code, len(lines)) == (2, 1)
    assert "contains characters that cannot be shown; rename the file" in lines[0]


def test_help_usage_and_a_reader_that_leaves() -> None:
    assert ended("--help") == (0, [])
    code, lines = ended("compare", "only-one")
    assert (code, lines[-1]) == (2, "Error: Missing argument 'NEW'.")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", MAIN, "models"], stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_without_standard_error_a_run_says_nothing_and_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAIN, "run", "-m", "none", "--out", str(tmp_path / "out")]
    done = subprocess.run(f"{' '.join(map(repr, command))} 2>&-", shell=True, timeout=60)
    assert done.returncode == 2
