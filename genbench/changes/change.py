"""What happened to one number of one model between two sets of records, with its uncertainty."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from genbench.changes.measures import Measure, cost_value
from genbench.changes.pairing import Pair
from genbench.comparison import Difference, Summary, difference, is_resolved, summarise
from genbench.report.rows import Column, Row

__all__ = ["Change", "Outcome", "cost_change", "quality_change"]

Outcome = Literal["better", "worse", "changed", "equal", "not resolved", "no interval"]


@dataclass(frozen=True)
class Change:
    """NEW against BASE in one number of one pair.

    `absolute` is NEW's mean minus BASE's, in the number's unit; `half_width` that of its 95% interval, where the
    difference is what was tested. `relative` is the change as a share of BASE, `low` and `high` its 95% interval; None
    where BASE cannot be told from 0, so that a share of it means nothing. `p_holm` is corrected over the comparisons
    that the number's family holds. p-values and intervals are None where a side has fewer than two seeds.
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

    @property
    def resolved(self) -> bool:
        """Whether the two differ at the 5% level, family-wise; then the 95% interval excludes no change."""
        return is_resolved(self.p_holm)

    @property
    def outcome(self) -> Outcome:
        """What can be said of the change, in a word."""
        if self.p is None:
            return "no interval"
        if self.resolved:
            if self.measure.direction is None:
                return "changed"
            fell = (self.absolute if self.relative is None else self.relative) < 0
            return "better" if fell == (self.measure.direction == "lower") else "worse"
        return "equal" if self.absolute == 0 and self.half_width == 0 else "not resolved"


def quality_change(pair: Pair, measure: Measure, column: Column) -> Change:
    """Return the change of a quality number of one recipe: a difference of means, seed by seed where it can be.

    Its relative form is that difference over BASE's mean.
    """
    old, new = pair.base.values(column), pair.new.values(column)
    found = difference(new, old)
    base = summarise(old.values())
    scale = abs(base.mean)
    known = scale > (base.half_width or 0.0) and math.isfinite(found.mean)
    relative = found.mean / scale if known else None
    low, high = None, None
    if relative is not None and found.half_width is not None:
        low, high = relative - found.half_width / scale, relative + found.half_width / scale
    other = summarise(new.values())
    return Change(
        pair, measure, base, other, found.mean, found.half_width, relative, low, high, found.p, found.p, found.paired
    )


def cost_change(pair: Pair, measure: Measure) -> Change | None:
    r"""Return the change of a cost as a ratio of geometric means over seeds; None where a side does not have it.

    The logarithms of each seed's number (for images/s the median of its windows) go by Welch's t, so the interval is
    that of a ratio: :math:`\exp(\bar d \pm h) - 1`. They are not paired: a training seed decides nothing of a time, and
    pairing would halve the degrees of freedom. Numbers that are counted have no chance in them: any difference is a
    change, with one seed too.
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
    if min(*old.values(), *new.values()) <= 0:  # there is no ratio to nothing
        found = difference(new, old, same_model=False)
        return Change(pair, measure, base, other, absolute, found.half_width, None, None, None, found.p, found.p, False)
    logs = difference(_log(new), _log(old), same_model=False)
    low, high = _bounds(logs)
    ratio = math.expm1(logs.mean)
    return Change(pair, measure, base, other, absolute, None, ratio, low, high, logs.p, logs.p, False)


def _costs(row: Row, name: str) -> dict[int, float]:
    values = ((record["cell"]["seed"], cost_value(record["cost"], name)) for record in row.records)
    return {seed: value for seed, value in values if value is not None and math.isfinite(value)}


def _log(values: Mapping[int, float]) -> dict[int, float]:
    return {seed: math.log(value) for seed, value in values.items()}


def _bounds(logs: Difference) -> Sequence[float | None]:
    if logs.half_width is None:
        return None, None
    most = math.log(sys.float_info.max)  # two seeds that are far apart leave an interval that no float holds
    return math.expm1(max(-most, logs.mean - logs.half_width)), math.expm1(min(most, logs.mean + logs.half_width))
