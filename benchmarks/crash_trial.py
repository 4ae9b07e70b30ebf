"""Is anything ever lost? Kills a benchmark at random moments, lets it finish, and compares it with an unbroken one.

Each kill is SIGKILL to every process of the run at once: one in four at a random moment in its first seconds, which are
spent on imports and checks, the others at a random moment in the seconds after its first cell has begun. After each
kill, every existing checkpoint and record must be readable. At the end, every cell must have one finished record equal
to that of the uninterrupted run in everything except times, the same pictures byte for byte, and no temporary file may
be left.

    python benchmarks/crash_trial.py                # 50 kills, about 15 minutes
    python benchmarks/crash_trial.py --kills 5 --steps 400
    python benchmarks/crash_trial.py --model wavegan:channels=4 --model conv-vae --dataset tones:count=500,held_out=250
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from genbench.records.files import read_record
from genbench.training import checkpoint

MODELS = ("vae", "ae")
LONGEST_S = 9.0  # of a run, or of its cells, before it is killed; the first cell waits about four seconds for imports


def command(out: Path, steps: int, models: Sequence[str] = MODELS, dataset: str = "digits") -> list[str]:
    models = [*(part for model in models for part in ("-m", model)), "-d", dataset]
    budget = ["--budget", f"{steps}steps", "--seeds", "2", "--evaluations", "4", "--control", "real"]
    program = "from genbench.cli import main; main()"
    return [
        *(sys.executable, "-c", program, "run", *models, *budget),
        *("--checkpoint-interval", "0.3", "--out", str(out), "--quiet"),
    ]


def is_held(path: Path) -> bool:
    """Whether a process is working on the cell that has this lock."""
    try:
        with path.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """Stop every process of the run first, so that none sees another end, then kill them."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for member in family:
            if member.is_running():
                member.send_signal(number)
    process.wait()
    psutil.wait_procs(family, timeout=10)


def lasting(path: Path) -> dict[str, Any]:
    """The part of a record that must not depend on how often its cell was interrupted: not times, memory, machine."""
    data = dict(read_record(path).data)
    curve = [{key: value for key, value in row.items() if key != "elapsed_s"} for row in data["curve"]]
    kept = ("id", "status", "cell", "numbers", "recipes", "not_measured", "artifacts", "failure")
    return {"curve": curve, **{key: data[key] for key in kept}}


def unreadable(out: Path) -> list[str]:
    """Every record and checkpoint that cannot be read."""
    found = []
    for path in out.glob("checkpoints/[!.]*"):
        try:
            checkpoint.load(path)
        except checkpoint.CheckpointError as error:
            found.append(f"{path.name}: {error}")
    for path in out.glob("records/[!.]*"):
        read_record(path)
    return found


def compare(unbroken: Path, broken: Path) -> list[str]:
    """Every difference between the two runs that is not allowed."""
    names = sorted(path.name for path in unbroken.glob("records/*.json"))
    found = []
    if sorted(path.name for path in broken.glob("records/*.json")) != names:
        found.append("the cells differ")
    for name in names:
        first, second = lasting(unbroken / "records" / name), lasting(broken / "records" / name)
        found += [f"{name}: {key} differs" for key in first if json.dumps(first[key]) != json.dumps(second[key])]
        for picture in first["artifacts"].values():
            if (unbroken / picture).read_bytes() != (broken / picture).read_bytes():
                found.append(f"{picture} differs")
    return found + [f"left: {path.relative_to(broken)}" for path in leftovers(broken)]


def leftovers(out: Path) -> list[Path]:
    return [*out.rglob(".partial-*"), *out.glob("checkpoints/*"), *out.glob("locks/*")]


def trial(folder: Path, kills: int, seed: int, command: Callable[[Path], list[str]]) -> list[str]:
    moments = random.Random(seed)
    subprocess.run(command(folder / "unbroken"), check=True)
    broken, faults, done = folder / "broken", [], 0
    progress = {"before cells": 0, "with a checkpoint": 0, "records": 0}
    while done < kills:
        process = subprocess.Popen(command(broken))
        while done % 4 and process.poll() is None and not any(map(is_held, broken.glob("locks/*"))):
            time.sleep(0.02)
        try:
            process.wait(timeout=moments.uniform(0, LONGEST_S))
            print(f"the benchmark ended after {done} kills: give it more steps")
            break
        except subprocess.TimeoutExpired:
            kill_all(process)
        done += 1
        faults += unreadable(broken)
        checkpoints = len(list(broken.glob("checkpoints/[!.]*")))
        records = len(list(broken.glob("records/[!.]*")))
        progress["with a checkpoint" if checkpoints else "before cells" if not records else "records"] += 1
        print(f"kill {done}: {records} records, {checkpoints} checkpoints, {len(faults)} faults", flush=True)
    subprocess.run(command(broken), check=True)
    print(f"{done} kills: {progress}")
    return faults + compare(folder / "unbroken", broken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="append", help=f"repeatable; {' and '.join(MODELS)} unless given")
    parser.add_argument("--dataset", default="digits")
    arguments = parser.parse_args()
    asked = functools.partial(
        command, steps=arguments.steps, models=arguments.model or MODELS, dataset=arguments.dataset
    )
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        faults = trial(Path(folder), arguments.kills, arguments.seed, asked)
    print("\n".join(faults) or "nothing lost: every record, curve and picture equals the uninterrupted run's")
    print(f"{time.monotonic() - begin:.0f} s")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
