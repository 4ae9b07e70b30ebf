from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from genbench.records.intervals import bisected
from genbench.records.statistics import (
    Difference,
    Rank,
    difference,
    differing_fields,
    holm,
    is_resolved,
    pairwise,
    ranks,
    summarise,
)

# Values no finer than measured ones: SciPy, the reference, loses what is smaller than its rounding error.
numbers = st.lists(st.integers(-(10**9), 10**9).map(lambda whole: whole / 1000), min_size=2, max_size=8)


def by_seed(*values: float, first: int = 0) -> dict[int, float]:
    return dict(enumerate(values, start=first))


@given(numbers)
def test_the_interval_is_students(values: list[float]) -> None:
    summary = summarise(values)
    assert summary.half_width is not None
    if len(set(values)) > 1:
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (summary.mean, summary.half_width) == pytest.approx(
            ((low + high) / 2, (high - low) / 2), rel=1e-6, abs=1e-6
        )


@pytest.mark.parametrize(
    ("values", "mean", "half_width", "n", "missing"),
    [
        ([], math.nan, None, 0, 0),
        ([3.5], 3.5, None, 1, 0),
        ([0.1, 0.1, 0.1], 0.1, 0.0, 3, 0),  # the mean of equal values is that value, to the last digit
        ([2.0, None, math.nan, math.inf], 2.0, None, 1, 3),
        ([math.nan], math.nan, None, 0, 1),
    ],
)
def test_a_summary_counts_what_is_no_number_and_claims_no_interval_for_one_seed(
    values: list[float | None], mean: float, half_width: float | None, n: int, missing: int
) -> None:
    summary = summarise(values)
    assert (summary.half_width, summary.n, summary.missing) == (half_width, n, missing)
    assert summary.mean == mean or (math.isnan(summary.mean) and math.isnan(mean))


def test_equal_seeds_are_compared_seed_by_seed() -> None:
    one, other = by_seed(3.0, 4.0, 6.0), by_seed(1.0, 2.0, 2.5)
    found = difference(one, other)
    reference = stats.ttest_rel(list(one.values()), list(other.values()))
    low, high = reference.confidence_interval(0.95)
    assert found.paired
    assert (found.mean, found.p) == pytest.approx((2.5, reference.pvalue))
    assert found.half_width == pytest.approx((high - low) / 2)


def test_pairing_goes_by_seed_and_not_by_position() -> None:
    one = {0: 1.0, 1: 5.0, 2: 9.0}
    assert difference(one, {2: 8.0, 0: 0.5, 1: 4.0}).p == difference(one, {0: 0.5, 1: 4.0, 2: 8.0}).p


def test_other_seeds_are_compared_by_welch() -> None:
    one, other = by_seed(3.0, 4.0, 6.0), by_seed(1.0, 2.0, 2.5, 3.0, first=5)
    found = difference(one, other)
    reference = stats.ttest_ind(list(one.values()), list(other.values()), equal_var=False)
    low, high = reference.confidence_interval(0.95)
    assert not found.paired
    assert (found.p, found.half_width) == pytest.approx((reference.pvalue, (high - low) / 2))


def test_sets_of_equal_spread_are_not_taken_for_sets_without_any() -> None:
    one, other = (1.0, 2.0, 3.0), (2.5, 3.5, 4.5)
    found = difference(by_seed(*one), by_seed(*other), same_model=False)
    reference = stats.ttest_ind(one, other, equal_var=False)
    low, high = reference.confidence_interval(0.95)
    assert (found.p, found.half_width) == pytest.approx((reference.pvalue, (high - low) / 2))


def covered(sizes: tuple[int, int], ratio: float, draws: int = 1500) -> float:
    """How often the interval of two equal means contains 0; the first side's deviation is `ratio` times the other's."""
    draw = np.random.default_rng([*sizes, int(100 * ratio)])
    pairs = zip(ratio * draw.normal(size=(draws, sizes[0])), draw.normal(size=(draws, sizes[1])), strict=True)
    found = [difference(by_seed(*x), by_seed(*y), same_model=False) for x, y in pairs]
    held = [each.half_width is not None and abs(each.mean) <= each.half_width for each in found]
    # The p-value agrees with the interval in every case.
    assert [each.p is not None and each.p >= 0.05 for each in found] == held
    return sum(held) / draws


@pytest.mark.parametrize("ratio", [1 / 3, 3.0])
@pytest.mark.parametrize(
    ("sizes", "most"), [((3, 3), 0.97), ((5, 5), 0.97), ((3, 5), 0.97), ((2, 5), 0.995), ((3, 10), 0.985)]
)
def test_two_independent_sets_cover_at_least_93_percent_whatever_their_sizes(
    sizes: tuple[int, int], most: float, ratio: float
) -> None:
    assert 0.93 <= covered(sizes, ratio) <= most


@pytest.mark.parametrize("size", [3, 5])
def test_two_seeds_against_more_go_by_banerjee(size: int) -> None:
    one, other = [3.0, 4.0], [1.0, 2.0, 2.5, 3.0, 1.5][:size]
    found = difference(by_seed(*one), by_seed(*other), same_model=False)
    a, b = stats.sem(one), stats.sem(other)
    assert found.half_width == pytest.approx(math.hypot(stats.t.ppf(0.975, 1) * a, stats.t.ppf(0.975, size - 1) * b))
    assert found.p is not None
    reach = [stats.t.ppf(1 - found.p / 2, len(side) - 1) * error for side, error in ((one, a), (other, b))]
    assert math.hypot(*reach) == pytest.approx(found.mean)


@pytest.mark.parametrize(("sizes", "is_welch"), [((2, 2), True), ((3, 6), True), ((3, 7), False), ((4, 30), True)])
def test_welch_serves_where_it_covers(sizes: tuple[int, int], is_welch: bool) -> None:
    draw = np.random.default_rng(1)
    one, other = draw.normal(size=sizes[0]), draw.normal(size=sizes[1])
    found = difference(by_seed(*one), by_seed(*other), same_model=False)
    assert (found.p == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue)) == is_welch


@pytest.mark.parametrize(
    ("one", "other", "mean", "p", "half_width", "paired"),
    [
        (by_seed(1.0, 1.0), by_seed(1.0, 1.0), 0.0, 1.0, 0.0, True),
        (by_seed(1.0, 1.0), by_seed(2.0, 2.0), -1.0, 0.0, 0.0, True),
        (by_seed(1.0, 1.0), by_seed(1.0, 1.0, first=7), 0.0, 1.0, 0.0, False),
        (by_seed(1.0, 1.0), by_seed(2.0, 2.0, first=7), -1.0, 0.0, 0.0, False),
        (by_seed(1.0), by_seed(2.0), -1.0, None, None, True),
        (by_seed(1.0, math.nan), by_seed(2.0, 3.0), -1.5, None, None, False),
        ({}, by_seed(2.0, 3.0), math.nan, None, None, False),
    ],
)
def test_differences_without_variance_or_without_seeds(
    one: dict[int, float], other: dict[int, float], mean: float, p: float | None, half_width: float | None, paired: bool
) -> None:
    found = difference(one, other)
    expected = Difference("first", "second", mean, half_width, p, p, paired)
    assert found == expected or (math.isnan(mean) and math.isnan(found.mean))
    assert (found.p, found.p_holm, found.half_width, found.paired) == (p, p, half_width, paired)
    assert found.resolved == (p == 0.0)


def test_a_difference_by_itself_is_a_family_of_one() -> None:
    one = by_seed(3.0, 4.0, 6.0)
    for other in (by_seed(1.0, 2.0, 2.5), by_seed(1.0, 2.0, 2.5, first=5)):
        found = difference(one, other)
        assert found.p is not None
        assert found.p_holm == found.p


def test_equal_means_of_very_unequal_sets_have_a_p_of_1() -> None:
    assert difference(by_seed(1.0, 3.0), by_seed(2.0, 2.5, 1.5, first=5)).p == pytest.approx(1.0)


@pytest.mark.parametrize("place", [3e-7, 0.25, 0.999, 12.0, 5e8])
def test_a_place_is_found_to_ten_digits_whatever_its_size(place: float) -> None:
    assert bisected(lambda value: value <= place, 0.0, 1e9) == pytest.approx(place, rel=2e-10)


def test_holm_gives_the_textbook_values_and_never_falls_with_p() -> None:
    # Holm (1979) by hand: 4 × 0.005, 3 × 0.01, 2 × 0.03, and 0.04 raised to the value before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_family_is_all_pairs_that_can_be_tested() -> None:
    values = {"a": by_seed(1.0, 1.1, 1.3), "b": by_seed(2.0, 2.2, 2.1), "c": by_seed(9.0)}
    found = {(pair.first, pair.second): pair for pair in pairwise(values)}
    assert found["a", "c"].p_holm is None
    assert found["b", "c"].p_holm is None
    assert found["a", "b"].p_holm == found["a", "b"].p  # a family of one
    larger = pairwise(values | {"d": by_seed(5.0, 5.1, 5.2)})
    tested = [pair for pair in larger if "c" not in (pair.first, pair.second)]
    assert [pair.p_holm for pair in tested] == holm([pair.p for pair in tested if pair.p is not None])
    assert all(pair.p_holm is None for pair in larger if pair not in tested)
    assert [pair.p_holm for pair in tested] != [pair.p for pair in tested]


def test_two_models_are_never_paired_by_seed() -> None:
    """The same seeds, with all differences within 0.1 of 1: paired they would be resolved, and must not be."""
    first, second = (1.0, 5.0, 9.0, 14.0), (2.0, 6.1, 9.9, 15.0)
    (pair,) = pairwise({"a": by_seed(*first), "b": by_seed(*second)})
    assert not pair.paired
    assert pair.p == pytest.approx(stats.ttest_ind(first, second, equal_var=False).pvalue)
    assert stats.ttest_rel(first, second).pvalue < 0.001 < 0.5 < pair.p


def test_two_models_are_independent_although_their_seeds_have_the_same_numbers() -> None:
    # The two differ by nearly the same amount at each seed; as independent sets they are indistinguishable.
    one, other = by_seed(1.0, 5.0, 9.0), by_seed(1.5, 5.6, 9.5)
    assert difference(one, other).p == pytest.approx(stats.ttest_rel([*one.values()], [*other.values()]).pvalue)
    welch = stats.ttest_ind([*one.values()], [*other.values()], equal_var=False).pvalue
    for found in (difference(one, other, same_model=False), pairwise({"a": one, "b": other})[0]):
        assert (found.paired, found.p) == (False, pytest.approx(welch))


def test_resolved_is_the_corrected_p_below_5_percent() -> None:
    assert [is_resolved(p) for p in (None, 0.0, 0.0499, 0.0501, 0.09)] == [False, True, True, False, False]
    assert not is_resolved(1 - 0.95)  # exactly at the level is not below it
    assert not Difference("a", "b", 1.0, 0.5, 0.01, 0.06, False).resolved
    assert Difference("a", "b", 1.0, 0.5, 0.2, 0.04, False).resolved


def test_fields_that_only_one_recipe_has_differ_whichever_it_is() -> None:
    assert differing_fields({"a": 1, "k": 3}, {"a": 1, "new": 2}) == {"k": (3, None), "new": (None, 2)}


def test_models_that_no_pair_tells_apart_share_their_ranks() -> None:
    values = {"a": by_seed(10.0, 11.0, 12.0), "b": by_seed(10.5, 11.4, 11.3), "c": by_seed(90.0, 91.0, 92.1)}
    assert ranks(values, "lower") == {"a": Rank(1, 2), "b": Rank(1, 2), "c": Rank(3, 3)}
    assert ranks(values, "higher") == {"a": Rank(2, 3), "b": Rank(2, 3), "c": Rank(1, 1)}
    assert (str(Rank(1, 2)), str(Rank(3, 3))) == ("1–2", "3")


def test_a_middle_that_neither_end_is_resolved_from_keeps_every_rank() -> None:
    values = {
        "low": by_seed(10.0, 10.1, 9.9, 10.0),
        "middle": by_seed(5.0, 22.0, 17.0, 12.0),
        "high": by_seed(20.0, 20.1, 20.1, 19.9),
    }
    assert ranks(values, "lower") == {"low": Rank(1, 2), "middle": Rank(1, 3), "high": Rank(2, 3)}


@pytest.mark.parametrize(
    "values", [{"a": by_seed(1.0, 2.0)}, {"a": by_seed(1.0), "b": by_seed(5.0)}, {"a": {}, "b": by_seed(1.0, 1.1)}, {}]
)
def test_one_seed_or_one_model_is_not_ranked(values: dict[str, dict[int, float]]) -> None:
    assert ranks(values, "lower") == dict.fromkeys(values)


def test_values_of_any_size_and_order_are_ranked() -> None:
    values = {"b": by_seed(0.50, 0.51, 0.52), "a": by_seed(0.10, 0.11, 0.12)}
    assert ranks(values, "lower") == {"b": Rank(2, 2), "a": Rank(1, 1)}
    assert ranks(values, "higher") == {"b": Rank(1, 1), "a": Rank(2, 2)}


def test_pairs_that_are_known_are_not_compared_again() -> None:
    values = {"a": by_seed(1.0, 1.1), "b": by_seed(9.0, 9.1)}
    assert ranks(values, "lower", []) == {"a": Rank(1, 2), "b": Rank(1, 2)}


def test_two_seeds_are_enough_to_be_ranked() -> None:
    assert ranks({"a": by_seed(1.0, 1.0), "b": by_seed(2.0, 2.0)}, "lower") == {"a": Rank(1, 1), "b": Rank(2, 2)}


def test_a_model_with_one_seed_is_left_out_and_the_others_are_ranked() -> None:
    values = {"a": by_seed(1.0, 1.1, 1.2), "lost": by_seed(3.0), "b": by_seed(9.0, 9.1, 9.2)}
    assert ranks(values, "lower") == {"a": Rank(1, 1), "lost": None, "b": Rank(2, 2)}


def test_ranks_hold_family_wise() -> None:
    # Six equal models: any claimed order is false. At 5%, more than 20 of 200 are false by chance once in 2,000.
    draw = np.random.default_rng(0)
    false = 0
    for _ in range(200):
        values = {f"m{k}": by_seed(*draw.normal(size=4), first=10 * k) for k in range(6)}
        false += any(rank != Rank(1, 6) for rank in ranks(values, "lower").values())
    assert false <= 20
