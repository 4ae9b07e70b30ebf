"""What a check found about a number. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from genbench.sanity.constants import Purpose

__all__ = ["Expectation", "Finding", "Verdict"]

Expectation = Literal["worse", "same", "no better", "no worse"]
Verdict = Literal["pass", "blind", "wrong", "not measurable"]


@dataclass(frozen=True)
class Finding:
    """One check of one number.

    Args:
        metric: name of the method.
        number: name of the number.
        purpose: what it is meant to measure.
        check: name of the check.
        expectation: what a number of this purpose should do.
        verdict: pass; blind: it should have become worse but did not, beyond its noise; wrong: it moved where it
            should not, or the wrong way; not measurable.
        level: level of the check at which the verdict was decided; None where it is not measurable.
        clean: mean value of what it is compared with.
        change: mean over seeds by which it became worse (above 0) or better (below), in the number's own units.
        error: standard error of that mean.
        unit: the change at the yardstick of its purpose, a failure that it must detect; 0 where it does not.
        seeds: number of seeds.
        reason: why it is not measurable, else empty.
    """

    metric: str
    number: str
    purpose: Purpose
    check: str
    expectation: Expectation
    verdict: Verdict
    level: float | None
    clean: float | None
    change: float | None
    error: float | None
    unit: float
    seeds: int
    reason: str = ""
