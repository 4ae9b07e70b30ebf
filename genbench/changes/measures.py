"""What of a record is compared: its quality numbers, and each cost by what its name says it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from genbench.records.statistics import Direction
from genbench.report.quantities import arrow, in_reading_order, quantity

__all__ = ["Measure", "cost_value", "measures"]

Kind = Literal["quality", "speed", "memory", "size", "cost"]

# Counted, not timed: equal for all seeds and on every machine, so any difference is a change.
_COUNTED = ("parameters", "train_flops_per_item", "sample_flops_per_item")
# They follow from the budget and the settings; items a second says what is left of them.
_NO_COST = frozenset({"steps", "items", "sample_batch_size"})
_ORDER = ("train_items_per_s", "sample_items_per_s")
_KINDS: tuple[Kind, ...] = ("quality", "speed", "memory", "cost", "size")


@dataclass(frozen=True)
class Measure:
    """A number that records hold, by its name there, with the better direction (None: neither)."""

    name: str
    kind: Kind
    direction: Direction | None

    @property
    def of_machine(self) -> bool:
        """Whether it says as much of the machine as of the model, so that two machines are never compared."""
        return self.kind in ("speed", "memory", "cost")

    @property
    def is_timed(self) -> bool:
        """Whether it says how fast the machine was just then, which the seeds of a run share; memory does not."""
        return self.kind in ("speed", "cost")

    @property
    def axis(self) -> str:
        """The name with `↓` where lower is better, `↑` where higher is."""
        return self.name + arrow(self.direction)


def measures(records: Iterable[Mapping[str, Any]]) -> list[Measure]:
    """Return what the records hold: quality in reading order, then speed, memory, other costs and sizes.

    A cost is known by its name: items or whatever else `_per_s`, higher is better; seconds, `_s`, and `_bytes`, lower
    is better; parameters and FLOPs are counted; a cost of any other name has no direction and belongs to its machine.
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
    """Return a cost as one number: of windows their median; None where it is none.

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
