"""How much time does a cluster cost compared with one machine, and are its numbers the same?

Runs gan, vae, ae and dcgan with three seeds each on the digits, alternating between the local executor with `--jobs 2`
and a Dask cluster of two workers with one thread each, all on 127.0.0.1. Every record, curve and picture must be equal,
bit for bit, except for times and the machine. The ratio is of the commands' wall-clock times, including start-up and
report.

    python benchmarks/cluster_ratio.py
    python benchmarks/cluster_ratio.py --rounds 1 --steps 500
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cluster_trial import MARK, Cluster
from crash_trial import compare

MODELS = ("gan", "vae", "ae", "dcgan:channels=16")


def timed(out: Path, asked: argparse.Namespace, environment: dict[str, str], *more: str) -> float:
    models = [part for model in MODELS for part in ("-m", model)]
    budget = ["--budget", f"{asked.steps}steps", "--seeds", "3", "--control", "real"]
    command = [sys.executable, "-m", "genbench", "run", *models, *budget, "--out", str(out), "--quiet", *more]
    begin = time.monotonic()
    subprocess.run(command, check=True, env=environment, cwd=out.parent)
    return time.monotonic() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3000)
    asked = parser.parse_args()
    wrong, ratios = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", MARK: os.urandom(6).hex()}
        # As docs/cluster.md advises: Dask's profiler would stop every thread of a worker a hundred times a second.
        environment["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"] = "false"
        cluster = Cluster(folder, environment)
        try:
            cluster.start()
            for number in range(asked.rounds):
                local, remote = folder / f"local-{number}", folder / f"cluster-{number}"
                ways = {local: ("--jobs", "2"), remote: ("--cluster", cluster.address)}
                order = list(ways) if number % 2 == 0 else list(ways)[::-1]
                took = {out: timed(out, asked, environment, *ways[out]) for out in order}
                differing = compare(local, remote)
                wrong += differing
                ratios.append(took[remote] / took[local])
                seconds = f"local {took[local]:.1f} s, cluster {took[remote]:.1f} s"
                print(f"{seconds}: {ratios[-1]:.3f}, {len(differing)} differ", flush=True)
        finally:
            cluster.end()
    print("\n".join(wrong) or "every record, curve and picture is equal")
    print(f"ratio: {statistics.median(ratios):.3f} (median of {len(ratios)})")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
