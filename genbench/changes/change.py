"""How one number of one model changed between two sets of records, with its uncertainty."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from genbench.changes.measures import Measure, cost_value
from genbench.changes.pairing import Pair
from genbench.records.ratio import relative_interval
from genbench.records.statistics import Difference, Summary, difference, is_resolved, summarise
from genbench.report.rows import Column, Row

__all__ = ["Change", "Outcome", "cost_change", "quality_change"]

# Relative: how far the same numbers, summed in another order, may move a mean of float64. All seeds then move alike, so
# a test of the difference would find it significant.
_ROUNDING = 1e-9

Outcome = Literal[
    "better",
    "worse",
    "changed",
    "equal",
    "not resolved",
    "no interval",
    "faster in these runs",
    "slower in these runs",
    "changed in these runs",
    "ranges overlap",
]


@dataclass(frozen=True)
class Change:
    """NEW compared with BASE in one number of one pair.

    `absolute` is NEW's mean minus BASE's, in the number's unit; `half_width` is the half-width of its 95% interval, if
    the difference is what was tested. `relative` is the change as a share of BASE, and `low` and `high` are its 95%
    interval; they are None if BASE cannot be distinguished from 0, which would make a share of it meaningless. `p_holm`
    is corrected over the comparisons in the number's family. p-values and intervals are None if a side has fewer than
    two seeds, and for timed numbers; for the latter, `overlap` says whether the two sets' ranges over seeds overlap.
    """

    pair: Pair
    measure: Measure
    base: Summary
    new: Summary
    absolute: float
    half_width: float | None
    relative: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    paired: bool
    overlap: bool = False

    @property
    def resolved(self) -> bool:
        """Whether the two differ at the 5% level, family-wise; if so, the 95% interval excludes zero change.

        A difference that rounding explains is none, however often it occurs.
        """
        return is_resolved(self.p_holm) and not self._is_rounding

    @property
    def _is_rounding(self) -> bool:
        largest = max(abs(self.base.mean), abs(self.new.mean))
        return self.measure.kind == "quality" and abs(self.absolute) <= _ROUNDING * largest

    @property
    def outcome(self) -> Outcome:
        """The conclusion about the change, in a few words."""
        if self.measure.is_timed:
            return self._in_these_runs
        if self.p is None:
            return "no interval"
        if self.resolved:
            if self.measure.direction is None:
                return "changed"
            fell = (self.absolute if self.relative is None else self.relative) < 0
            return "better" if fell == (self.measure.direction == "lower") else "worse"
        same = self.absolute == 0 and self.half_width == 0
        return "equal" if same or (self._is_rounding and is_resolved(self.p_holm)) else "not resolved"

    @property
    def _in_these_runs(self) -> Outcome:
        if self.overlap:
            return "ranges overlap"
        if self.measure.direction is None:
            return "changed in these runs"
        faster = (self.absolute < 0) == (self.measure.direction == "lower")
        return "faster in these runs" if faster else "slower in these runs"


def quality_change(pair: Pair, measure: Measure, column: Column) -> Change:
    """Return the change of a quality number of one recipe: a difference of means, paired by seed where possible.

    Its relative form is that difference over the magnitude of BASE's mean, with Fieller's interval, which includes the
    uncertainty of that mean.
    """
    old, new = pair.base.values(column), pair.new.values(column)
    found = difference(new, old)
    base = summarise(old.values())
    scale = abs(base.mean)
    known = scale > (base.half_width or 0.0) and math.isfinite(found.mean)
    relative = found.mean / scale if known else None
    ends = None
    if relative is not None and found.half_width is not None:
        ends = relative_interval(_finite(new), _finite(old), paired=found.paired)
    low, high = ends or (None, None)
    other = summarise(new.values())
    return Change(
        pair, measure, base, other, found.mean, found.half_width, relative, low, high, found.p, found.p, found.paired
    )


def cost_change(pair: Pair, measure: Measure) -> Change | None:
    r"""Return the change of a cost as a ratio of geometric means over seeds; None if a side lacks it.

    Timed costs (seconds and items/s, as the median over each seed's windows) have no interval and no p-value: the cells
    of a set ran one after another, so their seeds share whatever else the machine was doing, and no number of seeds
    shows how another hour would differ. Memory is compared by a t-test of two independent sets on logarithms, so its
    interval is that of a ratio: :math:`\exp(\bar d \pm h) - 1`; the sets are not paired, because the training seed does
    not affect memory. Counted numbers have no randomness: any difference is a change, even with one seed.
    """
    old, new = _costs(pair.base, measure.name), _costs(pair.new, measure.name)
    if not old or not new:
        return None
    base, other = summarise(old.values()), summarise(new.values())
    absolute = other.mean - base.mean
    if measure.kind == "size":
        share = absolute / base.mean if base.mean else None
        p = 1.0 if absolute == 0 else 0.0
        return Change(pair, measure, base, other, absolute, 0.0, share, share, share, p, p, False)
    is_ratio = min(*old.values(), *new.values()) > 0  # no ratio to zero
    if measure.is_timed:
        share = math.expm1(difference(_log(new), _log(old)).mean) if is_ratio else None
        overlap = min(new.values()) <= max(old.values()) and min(old.values()) <= max(new.values())
        return Change(pair, measure, base, other, absolute, None, share, None, None, None, None, False, overlap)
    if not is_ratio:
        found = difference(new, old, same_model=False)
        return Change(pair, measure, base, other, absolute, found.half_width, None, None, None, found.p, found.p, False)
    logs = difference(_log(new), _log(old), same_model=False)
    low, high = _bounds(logs)
    ratio = math.expm1(logs.mean)
    return Change(pair, measure, base, other, absolute, None, ratio, low, high, logs.p, logs.p, False)


def _costs(row: Row, name: str) -> dict[int, float]:
    values = ((record["cell"]["seed"], cost_value(record["cost"], name)) for record in row.records)
    return {seed: value for seed, value in values if value is not None and math.isfinite(value)}


def _finite(values: Mapping[int, float]) -> list[float]:
    return [values[seed] for seed in sorted(values) if math.isfinite(values[seed])]


def _log(values: Mapping[int, float]) -> dict[int, float]:
    return {seed: math.log(value) for seed, value in values.items()}


def _bounds(logs: Difference) -> Sequence[float | None]:
    if logs.half_width is None:
        return None, None
    most = math.log(sys.float_info.max)  # two seeds that are far apart give an interval beyond the range of a float
    return math.expm1(max(-most, logs.mean - logs.half_width)), math.expm1(min(most, logs.mean + logs.half_width))
