"""Real or fake: how often a model's items deceive people (HYPE), and how well people can tell them from real ones."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from genbench.records.statistics import holm
from genbench.study.clusters import Interval, mean_interval, mean_p, share

__all__ = ["Compared", "Counts", "Deceived", "compared", "deceived"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """How often one rater answered `real` to the items of one source.

    Args:
        real: how often the rater answered real.
        shown: number of items of this source that the rater judged, at least one.
    """

    real: int
    shown: int


@dataclass(frozen=True)
class Deceived:
    """The raters' judgement of one model's items.

    Args:
        error: HYPE: the mean of the two shares below, which equals the error rate on half real, half fake items.
        real_as_fake: share of real items judged fake.
        fake_as_real: share of the model's items judged real.
        d_prime: the raters' sensitivity, in standard deviations; 0 if real and fake are indistinguishable.
        bias: the criterion c; above 0 if the raters say fake too often.
        answers: number of the model's items judged, over all raters.
    """

    error: Interval
    real_as_fake: Interval
    fake_as_real: Interval
    d_prime: Interval
    bias: Interval
    answers: int


@dataclass(frozen=True)
class Compared:
    """Two models' difference in error, first minus second, over the same raters, and its Holm-corrected p-value."""

    first: str
    second: str
    difference: Interval
    p_holm: float


def deceived(real: Sequence[Counts], fake: Sequence[Counts], seed: int) -> Deceived:
    r"""Return how often raters took real items for fake, and fake items for real.

    HYPE's error averages both error rates, :math:`(e_{real} + e_{fake}) / 2`: 50% if nobody can tell. The intervals are
    over raters (`clusters.percentiles`), each contributing the mean of their answers. Sensitivity and bias are
    :math:`d' = z(H) - z(F)` and :math:`c = -(z(H) + z(F)) / 2` for each rater, where H and F are the rates at which
    real and fake items were judged real, as :math:`(k + 1/2) / (n + 1)`; the result is the mean over raters.

    Zhou et al. (2019), HYPE: a benchmark for human eye perceptual evaluation of generative models,
    https://arxiv.org/abs/1904.01121
    Hautus (1995), Corrections for extreme proportions and their biasing effects on estimated values of d′,
    https://doi.org/10.3758/BF03203619

    Args:
        real: each rater's answers to real items.
        fake: answers to the model's items, by the same raters in the same order.
        seed: of the bootstrap.
    """
    misses, alarms = 1 - _shares(real), _shares(fake)
    hit, false = _corrected(real), _corrected(fake)
    real_answers, answers = (sum(one.shown for one in side) for side in (real, fake))
    return Deceived(
        error=share((misses + alarms) / 2, min(real_answers, answers), seed),
        real_as_fake=share(misses, real_answers, seed),
        fake_as_real=share(alarms, answers, seed),
        d_prime=mean_interval(hit - false, seed),
        bias=mean_interval(-(hit + false) / 2, seed),
        answers=answers,
    )


def compared(fakes: Mapping[str, Sequence[Counts]], seed: int) -> list[Compared]:
    """Return every pair of models: the real items are shared, so errors differ by half the difference in fakes."""
    pairs = list(itertools.combinations(fakes, 2))
    differences = [(_shares(fakes[one]) - _shares(fakes[other])) / 2 for one, other in pairs]
    corrected = holm([mean_p(values) for values in differences])
    return [
        Compared(one, other, mean_interval(values, seed), p)
        for (one, other), values, p in zip(pairs, differences, corrected, strict=True)
    ]


def _shares(counts: Sequence[Counts]) -> Array:
    return np.array([one.real / one.shown for one in counts])


def _corrected(counts: Sequence[Counts]) -> Array:
    return np.asarray(special.ndtri([(one.real + 0.5) / (one.shown + 1) for one in counts]), dtype=np.float64)
