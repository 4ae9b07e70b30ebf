from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from genbench.records.ratio import relative_interval
from genbench.records.statistics import difference

sets = st.lists(st.integers(500, 1500).map(lambda whole: whole / 100), min_size=2, max_size=6)


def p_of_ratio(new: list[float], base: list[float], ratio: float, *, paired: bool) -> float:
    """The p-value for "NEW's mean is `ratio` times BASE's", by SciPy."""
    scaled = [ratio * value for value in base]
    if paired:
        return float(stats.ttest_rel(new, scaled).pvalue)
    return float(stats.ttest_ind(new, scaled, equal_var=False).pvalue)


@pytest.mark.parametrize(
    ("new", "base", "paired"),
    [
        ([19.0, 22.0, 25.0], [18.0, 20.0, 22.0], True),
        ([19.0, 25.0, 22.0], [18.0, 20.0, 22.0], True),
        ([90.0, 110.0, 100.0, 120.0], [18.0, 20.0, 22.0, 19.0], True),
        ([0.31, 0.29], [0.60, 0.62], True),
        ([19.0, 22.0, 25.0], [18.0, 20.0, 22.0], False),
        ([90.0, 110.0, 100.0, 120.0, 95.0], [18.0, 20.0, 22.0, 19.0], False),
        ([0.1, -0.2, 0.15], [18.0, 20.0, 22.0], False),
        ([19.0, 22.0, 25.0], [-18.0, -20.0, -22.0], True),
        ([-19.0, -22.0, -25.0, -20.0], [-18.0, -20.0, -22.0], False),
    ],
)
def test_the_ends_are_the_ratios_whose_own_test_has_p_of_5_percent(
    new: list[float], base: list[float], paired: bool
) -> None:
    found = relative_interval(new, base, paired=paired)
    assert found is not None
    mean = float(np.mean(base))
    for end in found:
        # Relative to the absolute value of BASE's mean: if the mean is negative, an increase gives a smaller ratio.
        ratio = (mean + end * abs(mean)) / mean
        assert p_of_ratio(new, base, ratio, paired=paired) == pytest.approx(0.05, rel=1e-5)
    assert found[0] < (np.mean(new) - mean) / abs(mean) < found[1]


@given(sets, sets, st.booleans())
@settings(deadline=None)
def test_it_excludes_no_change_exactly_where_the_difference_is_resolved(
    new: list[float], base: list[float], paired: bool
) -> None:
    size = min(len(new), len(base))
    one, other = (new[:size], base[:size]) if paired else (new, base)
    found = relative_interval(one, other, paired=paired)
    plain = difference(dict(enumerate(one)), dict(enumerate(other, 0 if paired else 100)))
    assert plain.p is not None
    if found is not None and plain.half_width and abs(plain.p - 0.05) > 1e-6:
        assert (found[0] <= 0 <= found[1]) == (plain.p > 0.05)


@given(sets, sets, st.sampled_from([1e-9, 1e-3, 1e6]))
@settings(deadline=None, max_examples=50)
def test_the_unit_changes_nothing(new: list[float], base: list[float], unit: float) -> None:
    here = relative_interval(new, base, paired=False)
    there = relative_interval([unit * value for value in new], [unit * value for value in base], paired=False)
    assert (here is None) == (there is None)
    assert here is None or here == pytest.approx(there, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("paired", [True, False])
def test_a_base_whose_interval_holds_0_bounds_no_ratio(paired: bool) -> None:
    assert relative_interval([5.0, 6.0, 7.0], [-1.0, 0.5, 1.0], paired=paired) is None
    assert relative_interval([5.0, 6.0], [0.0, 0.0], paired=paired) is None
    half_width = 4.302653 * 1.0 / math.sqrt(3)  # for 3 values with a deviation of 1
    for mean, bounded in ((0.99 * half_width, False), (1.01 * half_width, True)):
        base = [mean - 1, mean, mean + 1]
        assert (relative_interval([5.0, 6.0, 7.5], base, paired=paired) is not None) == bounded


@pytest.mark.parametrize("paired", [True, False])
def test_without_any_spread_it_is_the_change_itself(paired: bool) -> None:
    assert relative_interval([3.0, 3.0], [2.0, 2.0], paired=paired) == pytest.approx((0.5, 0.5))
    assert relative_interval([2.0, 2.0], [2.0, 2.0], paired=paired) == (0.0, 0.0)


def test_what_the_seeds_share_leaves_a_paired_ratio_exact() -> None:
    base = [18.0, 20.0, 22.0]
    assert relative_interval([1.1 * value for value in base], base, paired=True) == pytest.approx((0.1, 0.1))


def covered(change: float, sizes: tuple[int, int], shared: float, *, paired: bool, draws: int = 1500) -> float:
    """How often the interval contains the true change, for values that deviate by a tenth of their mean.

    `shared` is the correlation within a seed. A missing interval counts as covering, since it claims nothing.
    """
    draw = np.random.default_rng([int(100 * (1 + change)), *sizes, int(10 * shared)])
    common = draw.normal(size=(draws, max(sizes)))
    own = draw.normal(size=(draws, max(sizes)))
    base = 1 + 0.1 * common[:, : sizes[1]]
    new = (1 + change) * (1 + 0.1 * (shared * common + math.sqrt(1 - shared**2) * own)[:, : sizes[0]])
    found = [relative_interval(y, x, paired=paired) for y, x in zip(new.tolist(), base.tolist(), strict=True)]
    return sum(ends is None or ends[0] <= change <= ends[1] for ends in found) / draws


@pytest.mark.parametrize("change", [-0.5, 0.0, 1.0, 4.0])
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_paired_it_covers_95_percent_for_any_change_and_few_seeds(change: float, seeds: int, shared: float) -> None:
    assert 0.93 <= covered(change, (seeds, seeds), shared, paired=True) <= 0.97


@pytest.mark.parametrize("change", [-0.5, 1.0, 4.0])
@pytest.mark.parametrize(
    ("sizes", "most"), [((3, 3), 0.98), ((5, 5), 0.97), ((3, 5), 0.98), ((2, 5), 0.995), ((5, 2), 0.995)]
)
def test_unpaired_it_never_covers_less_and_more_only_with_two_seeds(
    change: float, sizes: tuple[int, int], most: float
) -> None:
    assert 0.93 <= covered(change, sizes, 0.0, paired=False, draws=600) <= most
