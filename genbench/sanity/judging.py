"""From changes over seeds to a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from genbench.records.intervals import moments, p_of
from genbench.sanity.finding import Expectation, Verdict

__all__ = ["SIGNIFICANCE", "TOLERANCE", "Judgement", "judge", "resolved"]

SIGNIFICANCE = 0.002  # two-sided, of a paired t test over seeds: one table runs several thousand of them
TOLERANCE = 0.1  # of the unit: smaller changes count as none
JUMPY = 0.25  # share of seeds: if this many move by a whole unit, a number is not the same, however noisy


class Judgement(NamedTuple):
    """A verdict, and the position among the levels at which it was decided."""

    verdict: Verdict
    at: int


def resolved(changes: Sequence[float]) -> int:
    """Return 1 or −1 where the mean of paired changes differs from 0 beyond its noise, else 0.

    >>> resolved([1.0, 1.1, 0.9, 1.0]), resolved([1.0, -1.1, 0.9, -1.0]), resolved([-2.0, -2.0])
    (1, 0, -1)
    """
    mean, variance = moments(changes)
    if variance > 0 and p_of(mean, (variance / len(changes)) ** 0.5, len(changes) - 1) > SIGNIFICANCE:
        return 0
    return (mean > 0) - (mean < 0)


def judge(expectation: Expectation, levels: Sequence[Sequence[float]], unit: float, *, ordered: bool) -> Judgement:
    """Return the verdict on a number.

    Args:
        expectation: what it should do.
        levels: for each level, ascending, and each seed, by how much the number became worse.
        unit: how much worse it becomes at the yardstick of its purpose; changes below `TOLERANCE` of it count as none.
        ordered: whether a higher level must be at least as bad as a lower one. Otherwise each is judged separately.
    """
    if expectation == "worse":
        return _judge_growth(levels, unit) if ordered else _judge_each(levels)
    means = [moments(changes)[0] for changes in levels]
    sides = {"same": (-1, 1), "no better": (-1,), "no worse": (1,)}[expectation]
    # If a number never moves, the level does not matter: the last one then represents all.
    worst = max(range(len(levels)), key=lambda at: (max(side * means[at] for side in sides), at))
    for at in sorted(range(len(levels)), key=lambda at: at != worst):
        moved = abs(means[at]) > TOLERANCE * unit and resolved(levels[at]) in sides
        if moved or _jumps(levels[at], sides, unit):
            return Judgement("wrong", at)
    return Judgement("pass", worst)


def _jumps(changes: Sequence[float], sides: Sequence[int], unit: float) -> bool:
    """Whether a heavy-tailed number, whose mean no test resolves, moves by a whole unit for many of the seeds."""
    far = sum(any(side * change > unit for side in sides) for change in changes)
    return unit > 0 and far >= JUMPY * len(changes)


def _judge_growth(levels: Sequence[Sequence[float]], unit: float) -> Judgement:
    last = len(levels) - 1
    before: Sequence[float] = [0.0] * len(levels[0])
    for at, changes in enumerate(levels):
        step = [now - then for now, then in zip(changes, before, strict=True)]
        if moments(step)[0] < -TOLERANCE * unit and resolved(step) < 0:
            return Judgement("wrong", at)
        before = changes
    verdicts: dict[int, Verdict] = {1: "pass", 0: "blind", -1: "wrong"}
    return Judgement(verdicts[resolved(levels[last])], last)


def _judge_each(levels: Sequence[Sequence[float]]) -> Judgement:
    signs = [resolved(changes) for changes in levels]
    if -1 in signs:
        return Judgement("wrong", signs.index(-1))
    if 0 in signs:
        return Judgement("blind", signs.index(0))
    return Judgement("pass", len(levels) - 1)
