"""What is compared in a record: its quality numbers, and each cost as its name classifies it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from genbench.records.statistics import Direction
from genbench.report.quantities import arrow, in_reading_order, quantity

__all__ = ["Measure", "cost_value", "measures"]

Kind = Literal["quality", "speed", "memory", "size", "cost"]

# Counted, not timed: the same for all seeds and on every machine, so any difference is a change.
_COUNTED = ("parameters", "train_flops_per_item", "sample_flops_per_item")
# These follow from the budget and the settings; items per second carries whatever else they say. The share of time that
# threads waited is about the machine alone.
_NO_COST = frozenset({"steps", "items", "sample_batch_size", "waited_share"})
_ORDER = ("train_items_per_s", "sample_items_per_s")
_KINDS: tuple[Kind, ...] = ("quality", "speed", "memory", "cost", "size")


@dataclass(frozen=True)
class Measure:
    """A number that records hold, under its name there, with the direction that is better (None: neither)."""

    name: str
    kind: Kind
    direction: Direction | None

    @property
    def of_machine(self) -> bool:
        """Whether it says as much about the machine as about the model, so that two machines are never compared."""
        return self.kind in ("speed", "memory", "cost")

    @property
    def is_timed(self) -> bool:
        """Whether it depends on how fast the machine was at that moment, which a run's seeds share; memory does not."""
        return self.kind in ("speed", "cost")

    @property
    def axis(self) -> str:
        """The name with `↓` if lower is better, `↑` if higher is."""
        return self.name + arrow(self.direction)


def measures(records: Iterable[Mapping[str, Any]]) -> list[Measure]:
    """Return what the records hold: quality in reading order, then speed, memory, other costs and sizes.

    A cost is classified by its name: for rates (`_per_s`), higher is better; for seconds (`_s`) and `_bytes`, lower is
    better; parameters and FLOPs are counted; a cost with any other name has no direction and is specific to its
    machine.
    """
    numbers: set[str] = set()
    costs: set[str] = set()
    for record in records:
        numbers.update(record["numbers"])
        costs.update(name for name in record["cost"] if cost_value(record["cost"], name) is not None)
    found = [Measure(name, "quality", quantity(name).direction) for name in in_reading_order(numbers)]
    others = [_cost(name) for name in sorted(costs - _NO_COST - numbers)]
    return found + sorted(others, key=lambda measure: (_KINDS.index(measure.kind), measure.name not in _ORDER))


def cost_value(cost: Mapping[str, Any], name: str) -> float | None:
    """Return a cost as one number (the median, for a summary of windows); None if it is not a number.

    >>> cost_value({"train_items_per_s": {"median": 512.0, "p5": 500.0}}, "train_items_per_s")
    512.0
    """
    value = cost.get(name)
    if isinstance(value, Mapping):
        value = value.get("median")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _cost(name: str) -> Measure:
    if name in _COUNTED:
        return Measure(name, "size", "lower")
    if name.endswith("_per_s"):
        return Measure(name, "speed", "higher")
    if name.endswith("_bytes"):
        return Measure(name, "memory", "lower")
    if name.endswith("_s"):
        return Measure(name, "speed", "lower")
    return Measure(name, "cost", None)
