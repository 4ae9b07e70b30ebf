"""The table of checks: what is drawn, and what is expected of the numbers of each purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Generator

from genbench.sanity import distributions as of
from genbench.sanity.constants import PURPOSE_NAMES, Purpose
from genbench.sanity.finding import Expectation

__all__ = ["CHECKS", "YARDSTICKS", "Against", "Check"]

Drawing = Callable[[float, Generator, int], of.Draw]

# What a draw is compared with: the one at level 0; another at its own level, from a faultless generator; or the value
# that samples of the data's own distribution should have.
Against = Literal["level 0", "its own level", "ideal"]


@dataclass(frozen=True)
class Check:
    """One check.

    Args:
        name: name of the check.
        summary: what is drawn.
        levels: how badly the generator fails, ascending, without 0.
        draw: draws at a level.
        expects: purpose → what a number with it should do; purposes that are not judged are left out.
        clean: draws at a level from a faultless generator: then each level is compared only with its own.
        ideal: whether the value is compared with the ideal one instead of another draw.
    """

    name: str
    summary: str
    levels: tuple[float, ...]
    draw: Drawing
    expects: Mapping[Purpose, Expectation]
    clean: Drawing | None = None
    ideal: bool = False

    @property
    def against(self) -> Against:
        """What the value at a level is compared with."""
        return "ideal" if self.ideal else "level 0" if self.clean is None else "its own level"


def _expect(
    *, fidelity: Expectation, diversity: Expectation, distance: Expectation, copying: Expectation = "no worse"
) -> dict[Purpose, Expectation]:
    return {
        "fidelity": fidelity,
        "diversity": diversity,
        "distance": distance,
        "generalisation": distance,
        "copying": copying,
    }


_SAME: dict[Purpose, Expectation] = dict.fromkeys(PURPOSE_NAMES, "same")
_WORSE = _expect(fidelity="worse", diversity="worse", distance="worse")
# Less variety, but each item is still fine. A fidelity number may rise or stay; copying does not count here.
_LESS_VARIED = _expect(fidelity="no worse", diversity="worse", distance="worse")
_AS_GOOD = _expect(fidelity="same", diversity="worse", distance="worse")
_MEMORISED: dict[Purpose, Expectation] = {
    **_expect(fidelity="no better", diversity="no better", distance="no better"),
    "generalisation": "worse",
    "copying": "worse",
}
_ROBUST = _expect(fidelity="same", diversity="same", distance="same")
_DIMENSIONS = (4, 64, 512)

_ALL = (
    Check("identity", "two draws from one distribution: at its ideal", (0,), lambda _, r, n: of.normal(r, n), _SAME,
          ideal=True),
    Check("shifted mean", "every feature of the samples shifted by 0.5, 1, 2 deviations", (0.5, 1, 2), of.shifted,
          _WORSE),
    Check("widened spread", "samples with 1.25, 1.5, 2 times the deviation", (0.25, 0.5, 1), of.widened,
          _expect(fidelity="worse", diversity="no worse", distance="worse")),
    Check("narrowed spread", "samples with 0.8, 0.5, 0.2 times the deviation", (0.2, 0.5, 0.8),
          lambda level, r, n: of.widened(-level, r, n), _LESS_VARIED),
    Check("sequential mode dropping", "2, 4, 6 of 8 modes missing, the others even", (2, 4, 6),
          of.sequentially_dropped, _AS_GOOD),
    Check("simultaneous mode dropping", "0.4, 0.8, 1 of the samples of 7 modes moved to the eighth", (0.4, 0.8, 1),
          of.simultaneously_dropped, _AS_GOOD),
    Check("uneven modes", "4 of 8 modes 2, 4, 10 times as frequent as the others", (1, 3, 9), of.unevenly_weighted,
          _AS_GOOD),
    Check("mode invention", "samples also from 2, 4, 8 modes that the data lack", (2, 4, 8), of.invented,
          _expect(fidelity="worse", diversity="same", distance="worse")),
    Check("one point repeated", "0.5, 1 of the samples are one good point", (0.5, 1), of.repeated_point, _AS_GOOD),
    Check("repeated samples", "each sample 2, 5, 10 times", (1, 4, 9), of.repeated_samples, _AS_GOOD),
    Check("outliers in the samples", "0.005, 0.01 of the samples ten times as far out", (0.005, 0.01),
          of.outlying_samples, _ROBUST),
    Check("outliers in the reference", "0.01, 0.02 of the data ten times as far out, with samples shifted by 2",
          (0.01, 0.02), of.outlying_reference, _ROBUST),
    Check("copies", "0.5, 1 of the samples are training items", (0.5, 1), of.copied, _MEMORISED),
    Check("near copies", "the same with noise of 0.1 deviations", (0.5, 1), of.nearly_copied, _MEMORISED),
    Check("few samples", "half, a quarter of the samples", (0.5, 0.75), of.fewer, _SAME),
    Check("one bad feature of many", "1 of 4, 64, 512 features shifted by 5 deviations", _DIMENSIONS,
          of.bad_feature, _WORSE, clean=of.of_dimension),
    Check("narrowed in high dimension", "half the deviation at 4, 64, 512 features", _DIMENSIONS, of.narrowed_high,
          _LESS_VARIED, clean=of.of_dimension),
    Check("copies in high dimension", "half of the samples are training items at 4, 64, 512 features", _DIMENSIONS,
          of.copied_high, _MEMORISED, clean=of.of_dimension),
    Check("order of the items", "the same items in another order, samples shifted by 0.5", (1,), of.reordered, _SAME),
    Check("scale of all features", "all features times 10, samples shifted by 0.5", (9,), of.scaled, _SAME),
    Check("scale of one feature", "one feature times 10, samples shifted by 0.5", (9,), of.one_scaled, _SAME),
)  # fmt: skip

CHECKS: dict[str, Check] = {check.name: check for check in _ALL}

# Purpose → the check and the level whose failure defines one unit, in which changes are measured.
YARDSTICKS: dict[Purpose, tuple[str, float]] = {
    "fidelity": ("shifted mean", 0.5),
    "diversity": ("sequential mode dropping", 4),
    "distance": ("shifted mean", 0.5),
    "generalisation": ("shifted mean", 0.5),
    "copying": ("copies", 0.5),
}
