"""Items a second of two ranks with one thread each against one rank with two threads, in turns on one machine.

python benchmarks/ranks_speed.py --turns 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from typing import Any

import genbench

CASES = (("gan", "digits", 64), ("gan", "digits", 512), ("dcgan", "shapes", 64), ("dcgan", "shapes", 512))
QUICK: dict[str, Any] = {"seeds": 1, "evaluations": 1, "samples": 100, "controls": [], "metrics": ("pixel_w1",)}


def speed(model: str, dataset: str, batch_size: int, steps: int, ranks: int) -> float:
    """Return the median of items a second over the windows of one training."""
    with tempfile.TemporaryDirectory() as out:
        settings = {**QUICK, "batch_size": batch_size, "ranks": ranks, "device": "cpu", "out": out}
        (record,) = genbench.run([model], dataset, budget=f"{steps}steps", **settings)
    return float(record.cost["train_items_per_s"]["median"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    asked = parser.parse_args()
    print("| model, dataset, batch | two ranks ÷ one | of the turns | load |\n| :--- | ---: | ---: | ---: |")
    for model, dataset, size in CASES:
        ratios = []
        for _ in range(asked.turns):
            one, two = (speed(model, dataset, size, asked.steps, ranks) for ranks in (1, 2))
            ratios.append(two / one)
        turns, load = f"{min(ratios):.2f} to {max(ratios):.2f}", os.getloadavg()[0]
        print(f"| `{model}`, {dataset}, {size} | {statistics.median(ratios):.2f} | {turns} | {load:.0f} |", flush=True)


if __name__ == "__main__":
    main()
