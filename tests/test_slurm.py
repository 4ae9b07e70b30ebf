"""slurm/genbench.sbatch without Slurm: its requests for every way that a task can end; `make slurm` has a real one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "slurm" / "genbench.sbatch"
# Writes down its arguments, then ends in the way that `how` says.
GENBENCH = """#!/bin/bash
echo "$OMP_NUM_THREADS $*" > asked
trap 'echo told > told; exit 130' TERM
case "$(cat how)" in
    lasting) touch begun; for _ in $(seq 400); do sleep 0.05; done ;;
    killed) kill -KILL $$ ;;
    *) exit "$(cat how)" ;;
esac
"""
SCONTROL = '#!/bin/bash\necho "$*" >> queued\n'
SQUEUE = '#!/bin/bash\n[ "$*" = "--noheader --format=%T --job=7" ] && cat state\n'
TASK = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "2", "SLURM_CPUS_PER_TASK": "3"}


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the script as Slurm would, in a folder with stand-ins for its commands."""
    for name, text in {"genbench": GENBENCH, "scontrol": SCONTROL, "squeue": SQUEUE}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def begin(how: str, state: str = "RUNNING", **more: str) -> subprocess.Popen[str]:
        (tmp_path / "how").write_text(how)
        (tmp_path / "state").write_text(f"{state}\n")
        others = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        environment = others | {"PATH": f"{tmp_path}:{os.environ['PATH']}"} | TASK | more
        return subprocess.Popen(
            ["bash", SCRIPT, "digits.toml", "--out", "a b"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


def queued(folder: Path) -> list[str]:
    path = folder / "queued"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_run_that_ends_by_itself_is_not_queued_again(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, code: int
) -> None:
    said, _ = (process := start(str(code))).communicate(timeout=30)
    assert (process.returncode, said, queued(tmp_path)) == (code, "", [])
    assert (tmp_path / "asked").read_text() == "3 run digits.toml --out a b --grace 150\n"


@pytest.mark.parametrize(("code", "how"), [(0, "0"), (3, "3"), (137, "killed")])
def test_a_run_that_has_ended_before_it_is_waited_for_has_its_own_exit_code(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, code: int, how: str
) -> None:
    """Bash reaps it meanwhile."""
    (tmp_path / "late.sh").write_text('trap \'[ "$BASH_COMMAND" != "run=\\$!" ] || sleep 0.3\' DEBUG\n')
    process = start(how, BASH_ENV=str(tmp_path / "late.sh"))
    process.communicate(timeout=30)
    assert process.returncode == code


@pytest.mark.parametrize(
    ("number", "state", "reason"),
    [
        (signal.SIGUSR1, "RUNNING", "out of time"),
        (signal.SIGTERM, "RUNNING", "preempted"),
        (signal.SIGTERM, "COMPLETING", None),  # cancelled, or queued again by Slurm itself
        (signal.SIGTERM, "PENDING", None),
    ],
)
def test_a_task_that_is_told_to_end_ends_with_its_checkpoint(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: int, state: str, reason: str | None
) -> None:
    process = start("lasting", state)
    deadline = time.monotonic() + 30
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    said, _ = process.communicate(timeout=15)
    assert (tmp_path / "told").exists()
    assert process.returncode == 130
    assert queued(tmp_path) == (["requeue 5_2"] if reason else [])
    assert said == (f"task 5_2: {reason}; it is queued again\n" if reason else "")


@pytest.mark.parametrize(("restarts", "most"), [("19", "20"), ("20", "20"), ("3", "3")])
def test_a_task_that_is_killed_is_queued_again_but_not_for_ever(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, restarts: str, most: str
) -> None:
    process = start("killed", SLURM_RESTART_COUNT=restarts, GENBENCH_RESTARTS=most)
    said, _ = process.communicate(timeout=30)
    enough = restarts == most
    assert queued(tmp_path) == ([] if enough else ["requeue 5_2"])
    assert process.returncode == (1 if enough else 128 + signal.SIGKILL)
    assert said.startswith("task 5_2: genbench was killed by signal 9; it ")
    assert ("which is enough" in said) == enough
