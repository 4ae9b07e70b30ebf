"""How often `genbench compare --fail-on` cries wolf, and what it detects: the tables of docs/ci.md.

Simulated records: each seed's number is drawn from a normal distribution, independently in BASE and in NEW, as when
training on a different machine. `python benchmarks/gate_alarms.py` takes a minute on one core.
"""

from __future__ import annotations

import random
from typing import Any

from genbench import changes

TRIALS = 2000
SPREAD = 0.10  # a number's standard deviation over seeds, as a share of its mean
TERM = "fd>5%"


def records(draw: random.Random, models: int, seeds: int, worse: float = 0.0) -> list[dict[str, Any]]:
    """Return finished records of `models` models; the first one's mean is worse by the share `worse`."""
    return [
        {
            "id": f"{model}-{seed}",
            "status": "finished",
            "cell": {"label": f"m{model}", "kind": "model", "seed": seed, "budget": "b", "dataset": {"name": "d"}},
            "numbers": {"fd": {"value": draw.gauss(1 + worse * (model == 0), SPREAD), "recipe": "r"}},
            "recipes": {"r": {}},
            "cost": {},
            "environment": {},
        }
        for model in range(models)
        for seed in range(seeds)
    ]


def failing(models: int, seeds: int, worse: float) -> float:
    """Return the share of comparisons in which the first model (any model, if nothing is worse) fails."""
    draw = random.Random(f"{models} {seeds} {worse}")
    terms = changes.parse(TERM)
    count = 0
    for _ in range(TRIALS):
        comparison = changes.compare(records(draw, models, seeds), records(draw, models, seeds, worse), terms)
        failed = changes.judge(comparison, terms).of("regression")
        count += any(not worse or judgement.subject == "m0 on d" for judgement in failed)
    return count / TRIALS


def main() -> None:
    planted = (0.0, 0.2, 0.5, 1.0)
    print("| models | seeds | false alarms | +20% found | +50% found | +100% found |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for models in (1, 4):
        for seeds in (3, 5, 10):
            shares = [failing(models, seeds, worse) for worse in planted]
            print(f"| {models} | {seeds} | " + " | ".join(f"{100 * share:.1f}%" for share in shares) + " |", flush=True)


if __name__ == "__main__":
    main()
