"""Builds the objects that observers receive from a benchmark's plan and records; nothing else uses them."""

from __future__ import annotations

import copy
import json
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from genbench.config import Benchmark
from genbench.machine import atomic
from genbench.machine.regular_file import read_regular
from genbench.plugin.observer import ObservedBenchmark, ObservedCell, ObservedEnd, ObservedPoint
from genbench.records.identity import slug
from genbench.records.record import Record

__all__ = ["benchmark_seen", "cell_seen", "curve_seen", "end_seen", "points_seen"]

MARK = ".observed.json"  # in the benchmark's folder: its id in trackers
ID_LENGTH = 12


def benchmark_seen(benchmark: Benchmark, directory: Path, command: str) -> ObservedBenchmark:
    """Return a benchmark as observers see it; its id is written into its folder if there is none.

    Raises:
        OSError: it cannot be.
    """
    folder = directory.resolve()
    settings = json.loads(json.dumps(asdict(benchmark.settings), default=str)) | {
        "budget": str(benchmark.settings.budget),
        "models": [model.label for model in benchmark.models],
        "datasets": list(benchmark.datasets),
        "seeds": list(benchmark.seeds),
    }
    return ObservedBenchmark(_id_of(folder), folder.name, folder, command, settings)


def _id_of(folder: Path) -> str:
    path = folder / MARK
    for _ in range(2):
        try:
            known = json.loads(read_regular(path))["benchmark"]
        except (OSError, ValueError, LookupError, TypeError):
            known = None
        if isinstance(known, str) and len(known) == ID_LENGTH and known.isalnum():
            return known
        # If two runs write it, both read what the last one wrote.
        atomic.write_text(path, json.dumps({"benchmark": uuid.uuid4().hex[:ID_LENGTH]}) + "\n")
    raise OSError(f"{path} does not hold what was written to it")


def cell_seen(benchmark: ObservedBenchmark, cell_id: str, description: Mapping[str, Any]) -> ObservedCell:
    """Return a cell as observers see it, from its description in the record."""
    label, dataset, seed = description["label"], description["dataset"]["name"], description["seed"]
    replaced = {path.parent for path in benchmark.directory.glob(f"replaced/*/{cell_id}.*")}
    again = f"-{len(replaced) + 1}" if replaced else ""  # run again with --fresh: a new curve and a new run
    return ObservedCell(
        key=f"{benchmark.id}-{cell_id}{again}",
        name=f"{slug(f'{label}-{dataset}-seed{seed}')}-{cell_id[:6]}{again}",
        label=label,
        dataset=dataset,
        seed=seed,
        configuration=dict(_flat(description)),
    )


def points_seen(rows: Sequence[Mapping[str, Any]], after: int) -> list[ObservedPoint]:
    """Return those points of a curve that come after a step, without numbers that are not finite."""
    return [
        ObservedPoint(row["step"], row["items"], row["elapsed_s"], _finite(row["losses"]), _finite(row["numbers"]))
        for row in rows
        if row["step"] > after
    ]


def curve_seen(record: Record, after: int) -> list[ObservedPoint]:
    """Return the points of a record's curve that come after a step."""
    return points_seen(record.data["curve"], after)


def end_seen(record: Record, directory: Path) -> ObservedEnd:
    """Return how a cell ended."""
    data = copy.deepcopy(dict(record.data))
    numbers = data["numbers"]
    failure = data.get("failure") or {}
    if record.unsuitable:
        failure = {"reason": record.unsuitable}
    errors = {name: each.get("standard_error") for name, each in numbers.items()}
    return ObservedEnd(
        status=data["status"],
        step=max((row["step"] for row in data["curve"]), default=0),
        numbers={name: float(each["value"]) for name, each in numbers.items()},
        standard_errors={name: float(error) for name, error in errors.items() if error is not None},
        recipes={name: data["recipes"].get(each["recipe"], {}) for name, each in numbers.items()},
        costs=_numbers(dict(_flat(data["cost"]))),
        files={what: directory / path for what, path in data["artifacts"].items() if (directory / path).is_file()},
        failure={name: str(failure[name]) for name in ("stage", "reason", "traceback") if failure.get(name)},
    )


def _finite(numbers: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in _numbers(numbers).items() if math.isfinite(value)}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str | int | float | bool | None]]:
    """Yield nested plain values by dotted names, lists as text."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif value is None or isinstance(value, str | int | float | bool):
            yield f"{before}{name}", value
        else:
            yield f"{before}{name}", json.dumps(value)
