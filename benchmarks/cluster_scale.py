"""What does a cluster cost the process that shows progress? 200 workers run fake cells of a fixed length.

A scheduler and the workers run on 127.0.0.1, many workers per process. Instead of running a cell, they wait,
report progress once a second, and send back a record and two pictures of typical size. Everything else is as in a
real run: the client checks the workers, places cells, receives their events, checks and writes what comes back, and
renders the report. Both cores do all of this, so the relevant figure is the client's processor time, not the wall-clock
time.

    python benchmarks/cluster_scale.py                       # 200 workers, 1,000 cells of 20 s
    python benchmarks/cluster_scale.py --workers 50 --cells 200 --length 5
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PICTURE_BYTES = 60_000
POINTS = 20  # per curve


def fake_data(dataset: str) -> dict[str, Any]:
    return {
        "device": "cpu",
        "samples": 500,
        "extractor": {"extractor": "fake"},
        "metrics": {"frechet_distance": 1},
        "dataset": {
            "name": dataset,
            "fingerprint": "f" * 64,
            "kind": "image",
            "shape": [1, 8, 8],
            "classes": 10,
            "train_count": 1297,
            "held_out_count": 500,
            "licence": "none",
        },
        "told": {},
    }


def fake_cell(payload: dict[str, Any]) -> dict[str, bytes]:
    """A record of typical size, and its pictures."""
    from genbench.records.identity import identity
    from genbench.records.record import record_path, write_record
    from genbench.records.schemas import SCHEMA

    recipe = {"metric": "frechet_distance", "extractor": "fake"}
    key, name = identity(recipe, 8), f"samples/{payload['id']}.png"
    seed = payload["cell"]["seed"]
    numbers = {f"fd{index or ''}": {"value": 1.0 + seed % 7, "recipe": key} for index in range(20)}
    points = [
        {
            "step": step,
            "items": 64 * step,
            "elapsed_s": 0.1 * step,
            "losses": {"loss": 1.0},
            "numbers": {"fd": 9.0 / step},
        }
        for step in range(1, POINTS + 1)
    ]
    record = {
        "schema": SCHEMA,
        "id": payload["id"],
        "cell": payload["description"],
        "command": payload["command"],
        "status": "finished",
        "numbers": numbers,
        "recipes": {key: recipe},
        "curve": points,
        "failure": None,
        "cost": {"train_s": 1.0},
        "environment": {"jobs": payload["jobs"]},
        "not_measured": {},
        "artifacts": {"samples": name, "reference": "samples/reference.png"},
    }
    with tempfile.TemporaryDirectory() as folder:
        write_record(Path(folder), record)
        written = record_path(Path(folder), payload["id"]).read_bytes()
    pictures = {name: os.urandom(PICTURE_BYTES), "samples/reference.png": b"\0" * PICTURE_BYTES}
    return {**pictures, f"records/{payload['id']}.json": written}


def fake_work(asked: dict[str, Any]) -> dict[str, Any]:
    import hashlib

    from distributed import get_worker

    payload, log = asked["payload"], b""
    words = {"stage": "", "kind": "failure", "reason": "", "traceback": "", "log_tail": ""}
    if asked["task"] == "check_data":
        return {"outcome": {"value": fake_data(payload["dataset"]), **words}, "log": log}
    if asked["task"] == "check_model":
        return {"outcome": {"value": {"built": True}, **words}, "log": log}
    end, length = time.monotonic() + LENGTH_S, 100
    while (left := end - time.monotonic()) > 0:
        event = {
            "event": "progress",
            "stage": "training",
            "done": round(length * (1 - left / LENGTH_S)),
            "total": length,
        }
        told = {"key": asked["key"], "event": {**event, "losses": {"loss": 1.0}, "items_per_s": 1000.0}}
        get_worker().log_event(asked["topic"], told)
        time.sleep(min(1.0, left))
    files = fake_cell(payload)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return {"outcome": {"value": {"id": payload["id"]}, **words}, "log": log, "files": files, "sha256": sums}


def once(vet: Callable[[dict[str, Any]], list[str]]) -> Callable[[dict[str, Any]], list[str]]:
    """Inspect the installed software once per process: real workers do so in parallel, each on its own cores."""
    found: dict[str, list[str]] = {}
    lock = threading.Lock()

    def vet_once(wanted: dict[str, Any]) -> list[str]:
        with lock:
            key = repr(sorted(wanted["software"].items()))
            if key not in found:
                found[key] = vet(wanted)
            return found[key]

    return functools.wraps(vet)(vet_once)


LENGTH_S = float(os.environ.get("FAKE_LENGTH_S", 10))


async def fake_workers(address: str, count: int) -> None:
    from distributed import Worker

    from genbench.execution.cluster import hosting

    hosting.work = fake_work  # the client only sends its name
    hosting.vet = once(hosting.vet)
    workers = [Worker(address, nthreads=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") for _ in range(count)]
    await asyncio.gather(*workers)
    await asyncio.gather(*(worker.finished() for worker in workers))


def client(address: str, cells: int, out: Path) -> dict[str, float]:
    from genbench import api, report
    from genbench.config import make_benchmark
    from genbench.execution.benchmark import run_benchmark
    from genbench.execution.conditions import Conditions
    from genbench.progress import Lines

    wanted = make_benchmark(
        {
            "models": ["gan", "vae", "ae", "dcgan", "conv-vae"],
            "datasets": ["digits"],
            "controls": [],
            "seeds": cells // 5,
        }
    )
    lines: list[str] = []
    begin, begin_cpu = time.monotonic(), time.process_time()
    records = run_benchmark(wanted, out, Lines(lines.append), api.command_for(wanted), Conditions(cluster=address))
    ran, ran_cpu = time.monotonic(), time.process_time()
    assert all(record.finished for record in records)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report.render_directory(out)
    return {
        "cells": len(records),
        "wall_s": ran - begin,
        "client_cpu_s": ran_cpu - begin_cpu,
        "client_cpu_s_per_cell": (ran_cpu - begin_cpu) / len(records),
        "client_MiB": memory,
        "report_s": time.monotonic() - ran,
        "lines": len(lines),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--length", type=float, default=20.0, help="seconds per fake cell")
    parser.add_argument("--role", choices=["workers", "client"], help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.role == "workers":
        asyncio.run(fake_workers(asked.address, asked.workers))
    elif asked.role == "client":
        print(json.dumps(client(asked.address, asked.cells, asked.out)))
    else:
        measure(asked)


def measure(asked: argparse.Namespace) -> None:
    from cluster_trial import free_port

    environment = {**os.environ, "FAKE_LENGTH_S": str(asked.length)}
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    program = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port]
    own = [sys.executable, __file__, "--address", address]
    with tempfile.TemporaryDirectory() as folder:
        log = (Path(folder) / "log").open("ab")
        started = [subprocess.Popen([*program, "--dashboard-address", "127.0.0.1:0"], stdout=log, stderr=log)]
        try:
            each = [*own, "--role", "workers", "--workers", str(asked.workers // asked.processes)]
            started += [
                subprocess.Popen(each, env=environment, cwd=folder, stdout=log, stderr=log)
                for _ in range(asked.processes)
            ]
            wait_for(address, asked.workers)
            run = [*own, "--role", "client", "--cells", str(asked.cells), "--out", str(Path(folder) / "out")]
            told = json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE, env=environment).stdout)
            spent = Path(f"/proc/{started[0].pid}/stat").read_text().rpartition(")")[2].split()
            told["scheduler_cpu_s"] = (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")
            status = Path(f"/proc/{started[0].pid}/status").read_text()
            told["scheduler_MiB"] = int(status.partition("VmHWM:")[2].split()[0]) / 1024
        finally:
            for process in reversed(started):
                process.kill()
                process.wait()
            log.close()
    told["ideal_s"] = asked.length * -(-asked.cells // asked.workers)
    print("\n".join(f"{name:24} {value:,.3f}" for name, value in told.items()))


def wait_for(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, timeout=60, set_as_default=False) as watching:
        watching.wait_for_workers(count, timeout=300)


if __name__ == "__main__":
    main()
