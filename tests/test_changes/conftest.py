"""Sets of records with chosen numbers, holding only what a comparison reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

Record = dict[str, Any]
RECIPE = {"metric": "frechet_distance", "extractor": "digits-cnn", "samples": 500}
MACHINE = {"processor": "AMD EPYC", "cores": 2, "device": "cpu", "torch": "2.13.0", "genbench": "0.1.0"}


def build(
    label: str = "gan",
    numbers: Mapping[str, Sequence[float | None]] | None = None,
    costs: Mapping[str, Sequence[float]] | None = None,
    *,
    recipe: Mapping[str, Any] = RECIPE,
    machine: Mapping[str, Any] = MACHINE,
    first_seed: int = 0,
    **cell: Any,
) -> list[Record]:
    """One finished record per seed; `numbers` and `costs` give a value for each."""
    values = dict(numbers or {"fd": [10.0, 11.0, 12.0]})
    key = "r" + "".join(f"{name}={value}" for name, value in recipe.items() if RECIPE.get(name) != value)
    return [
        {
            "schema": 1,
            "id": f"{label}-{first_seed + place}-{cell}",
            "status": "finished",
            "cell": {
                "model": label.partition(":")[0],
                "label": label,
                "role": "model",
                "seed": first_seed + place,
                "budget": "1500steps",
                "dataset": {"name": "digits"},
                "plugin": {"source_sha256": "ab" * 32},
                **cell,
            },
            "numbers": {name: {"value": entries[place], "recipe": key} for name, entries in values.items()},
            "recipes": {key: dict(recipe)},
            "cost": {
                name: {"median": entries[place]} if name.endswith("_per_s") else entries[place]
                for name, entries in (costs or {}).items()
            },
            "environment": dict(machine),
            "failure": None,
            "curve": [{"step": 1}],
            "artifacts": {"samples": "samples/x.png"},
            "finished_at": "2026-11-22T08:00:00+00:00",
        }
        for place in range(len(next(iter(values.values()))))
    ]


def broken(record: Record) -> Record:
    """The failed record of the same cell."""
    failure = {"stage": "training", "reason": "loss became nan", "traceback": "Traceback …", "log_tail": ""}
    return record | {"status": "failed", "numbers": {}, "cost": {}, "recipes": {}, "failure": failure}


@pytest.fixture
def make() -> Callable[..., list[Record]]:
    return build


@pytest.fixture
def fail() -> Callable[[Record], Record]:
    return broken
