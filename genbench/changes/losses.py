"""What BASE finished but NEW did not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from genbench.changes.pairing import Pair
from genbench.report.rows import measured

__all__ = ["Loss", "losses"]


@dataclass(frozen=True)
class Loss:
    """Seeds of a pair that BASE finished but NEW did not: `number` is None if the whole cell failed, otherwise the
    number that is not finite in NEW. `why` is the reason of the first failure."""

    pair: Pair
    number: str | None
    seeds: tuple[int, ...]
    why: str


def losses(pair: Pair) -> Iterator[Loss]:
    """Yield the cells of a pair that failed only in NEW, and the numbers that are finite only in BASE, by seed."""
    before = {record["cell"]["seed"]: record for record in pair.base.records}
    after = {record["cell"]["seed"]: record for record in pair.new.records}
    failed = {record["cell"]["seed"]: record["failure"] or {} for record in pair.new.failed}
    if seeds := sorted((before.keys() & failed.keys()) - after.keys()):
        failure = failed[seeds[0]]
        yield Loss(pair, None, tuple(seeds), f"{failure.get('stage')}: {failure.get('reason')}")
    gone: dict[str, list[int]] = {}
    for seed in sorted(before.keys() & after.keys()):
        for name, number in after[seed]["numbers"].items():
            if _finite(before[seed]["numbers"].get(name)) and not _finite(number):
                gone.setdefault(name, []).append(seed)
    for name, seeds in gone.items():
        yield Loss(pair, name, tuple(seeds), "no finite value")


def _finite(number: Mapping[str, Any] | None) -> bool:
    return number is not None and not math.isnan(measured(number["value"]))
