"""Statistics between sets of records: intervals over training seeds, differences, and ranks that claim no more."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from genbench.records.intervals import LEVEL, Mean, independent_half_width, independent_p, moments, p_of, quantile

__all__ = [
    "Difference",
    "Direction",
    "Rank",
    "Summary",
    "difference",
    "differing_fields",
    "holm",
    "is_resolved",
    "pairwise",
    "ranks",
    "summarise",
]

Direction = Literal["lower", "higher"]


@dataclass(frozen=True)
class Summary:
    """A mean over training seeds with the half-width of its interval.

    `half_width` is None for fewer than two values: one seed says nothing about the next. `missing` counts the given
    values that are not numbers (None, NaN or infinite); they enter neither `mean` nor `n`.
    """

    mean: float
    half_width: float | None
    n: int
    missing: int = 0


@dataclass(frozen=True)
class Difference:
    """`mean` of first minus second; the interval is this pair's own, `p_holm` is corrected over its whole family.

    `half_width` and the p-values are None where a side has fewer than two seeds.
    """

    first: str
    second: str
    mean: float
    half_width: float | None
    p: float | None
    p_holm: float | None
    paired: bool

    @property
    def resolved(self) -> bool:
        """Whether the two differ at the 5% level, family-wise."""
        return is_resolved(self.p_holm)


def is_resolved(p_holm: float | None) -> bool:
    """Return whether a corrected p-value resolves two at the 5% level; None, where there is no test, does not."""
    return p_holm is not None and p_holm < 1 - LEVEL


@dataclass(frozen=True)
class Rank:
    """The ranks, from `best` to `worst`, that the data allow for a model; a single number where the two are equal."""

    best: int
    worst: int

    def __str__(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


def summarise(values: Iterable[float | None]) -> Summary:
    r"""Return the mean of one value per training seed, and the half-width of its 95% interval.

    :math:`\bar x \pm t_{n-1,\,0.975}\, s / \sqrt n`, with s the sample standard deviation (ddof = 1). Valid for
    values that are independent and roughly normal over seeds; equal values give a half-width of 0.

    "Student" (1908), The probable error of a mean, https://doi.org/10.1093/biomet/6.1.1

    Example:
        >>> summary = summarise([1.0, 2.0, 3.0])
        >>> f"{summary.mean:.2f} ± {summary.half_width:.2f} over {summary.n} seeds"
        '2.00 ± 2.48 over 3 seeds'
        >>> summarise([1.0]).half_width is None
        True
    """
    given = [math.nan if value is None else float(value) for value in values]
    finite = [value for value in given if math.isfinite(value)]
    n, missing = len(finite), len(given) - len(finite)
    if n == 0:
        return Summary(math.nan, None, 0, missing)
    mean, variance = moments(finite)
    return Summary(mean, None if n == 1 else quantile(n - 1) * math.sqrt(variance / n), n, missing)


def differing_fields(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two recipes differ, with both values.

    >>> differing_fields({"extractor": "inception", "samples": 500}, {"extractor": "digits-cnn", "samples": 500})
    {'extractor': ('inception', 'digits-cnn')}
    """
    names = dict.fromkeys([*first, *second])
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}


def difference(
    first: Mapping[int, float],
    second: Mapping[int, float],
    names: tuple[str, str] = ("first", "second"),
    *,
    same_model: bool = True,
) -> Difference:
    """Return first minus second over training seeds, with its 95% interval and two-sided p-value.

    The same seeds of the same model are compared seed by seed (paired t, n − 1 degrees of freedom), which removes what
    a seed does to both. Everything else is compared as independent (Welch's t, or Banerjee's interval for very unequal
    numbers of seeds: `independent_half_width`): two models share only the order of batches under a seed, so pairing
    them would merely lose degrees of freedom. Values that are not numbers are left out. Where nothing varies, a
    difference of exactly 0 has p = 1, any other p = 0.

    Example:
        >>> difference({0: 5.0, 1: 6.0, 2: 7.0}, {0: 1.0, 1: 2.5, 2: 2.0}).paired
        True
    """
    one = {seed: value for seed, value in first.items() if math.isfinite(value)}
    other = {seed: value for seed, value in second.items() if math.isfinite(value)}
    paired = same_model and one.keys() == other.keys()
    if not one or not other:
        return Difference(*names, math.nan, None, None, None, paired)
    x, y = Mean.of([*one.values()]), Mean.of([*other.values()])
    mean = x.mean - y.mean
    if min(x.n, y.n) < 2:
        return Difference(*names, mean, None, None, None, paired)
    if not paired:
        p = independent_p(x, y)
        return Difference(*names, mean, independent_half_width(x, y), p, p, paired)
    error = math.sqrt(Mean.of([one[seed] - other[seed] for seed in one]).variance)
    if error == 0:
        p = 1.0 if mean == 0 else 0.0
        return Difference(*names, mean, 0.0, p, p, paired)
    p = p_of(mean, error, x.n - 1)
    return Difference(*names, mean, quantile(x.n - 1) * error, p, p, paired)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number, which keeps the probability of any false claim below the level.

    The k-th smallest of m (from 0) becomes the largest of (m − j) p_j over j ≤ k, at most 1. Valid whatever the
    dependence between the tests.

    Holm (1979), A simple sequentially rejective multiple test procedure, https://www.jstor.org/stable/4615733

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for position, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - position) * p_values[index]))
        corrected[index] = largest
    return corrected


def pairwise(values: Mapping[str, Mapping[int, float]]) -> list[Difference]:
    """Return the difference of every pair of models, Holm-corrected over the pairs that have a p-value.

    Args:
        values: model -> training seed -> number. All from one recipe: the caller ensures that.
    """
    pairs = [difference(values[a], values[b], (a, b), same_model=False) for a, b in itertools.combinations(values, 2)]
    corrected = iter(holm([pair.p for pair in pairs if pair.p is not None]))
    return [pair if pair.p is None else replace(pair, p_holm=next(corrected)) for pair in pairs]


def ranks(
    values: Mapping[str, Mapping[int, float]], direction: Direction, pairs: Sequence[Difference] | None = None
) -> dict[str, Rank | None]:
    """Return for each model the ranks that the data allow, or None where nothing can be said.

    Over the m models with at least two seeds, a model's best rank is 1 + the number of models that are better than it
    after Holm, its worst is m − the number that are worse. With a family-wise probability of 95%, all true ranks lie in
    these ranges. Models that no pair resolves therefore share their ranks: 1–2, 1–2, 3. A range is needed, a single
    number is not enough: of three models where only the outer two are resolved, the middle one may be first or last
    (1–2, 1–3, 2–3). One seed, or a single model, is not ranked.

    Mogstad, Romano, Shaikh & Wilhelm (2024), Inference for ranks with applications to mobility across neighbourhoods
    and academic achievement across countries, https://doi.org/10.1093/restud/rdad006

    Args:
        values: model -> training seed -> number. No controls: they anchor a table and do not compete.
        direction: whether `lower` or `higher` is better.
        pairs: what `pairwise(values)` returned, if already known.

    Example:
        >>> values = {"gan": {0: 20.0, 1: 22.0, 2: 21.0}, "vae": {0: 90.0, 1: 91.0, 2: 92.5}}
        >>> {name: str(rank) for name, rank in ranks(values, "lower").items()}
        {'gan': '1', 'vae': '2'}
    """
    able = {name for name, seeds in values.items() if sum(map(math.isfinite, seeds.values())) > 1}
    if len(able) < 2:
        return dict.fromkeys(values)
    better, worse = dict.fromkeys(able, 0), dict.fromkeys(able, 0)
    for pair in pairwise(values) if pairs is None else pairs:
        if pair.resolved:
            first_wins = (pair.mean < 0) == (direction == "lower")
            winner, loser = (pair.first, pair.second) if first_wins else (pair.second, pair.first)
            better[loser] += 1
            worse[winner] += 1
    return {name: Rank(1 + better[name], len(able) - worse[name]) if name in able else None for name in values}
