"""Statistics over datasets, checked against closed forms, enumeration and simulation."""

from __future__ import annotations

import itertools
import math

import aggregate_coverage
import numpy as np
import pytest
from scipy import stats

from genbench.aggregate import interquartile
from genbench.aggregate.comparing import chance_of_more, matrix, mean_difference
from genbench.aggregate.interquartile import bootstrap, interquartile_mean, middle_mean
from genbench.aggregate.profiles import profile
from genbench.aggregate.ranking import ranking, signed_rank_p
from genbench.aggregate.strata import Estimate, freedom, share_interval, stratified
from genbench.records.intervals import Mean, independent_half_width, independent_p, quantile
from genbench.records.score import Anchors


@pytest.mark.parametrize(
    ("zero", "one", "direction", "value", "expected"),
    [
        (100.0, 1.0, "lower", 10.0, 0.5),
        (100.0, 1.0, "lower", 100.0, 0.0),
        (100.0, 1.0, "lower", 1.0, 1.0),
        (100.0, 1.0, "lower", 1000.0, -0.5),
        (100.0, 1.0, "lower", 0.1, 1.5),
        (0.1, 0.8, "higher", 0.2, 1 / 3),
        (0.1, 0.8, "higher", 0.05, -1 / 3),
    ],
)
def test_a_score_is_linear_in_the_logarithm(zero: float, one: float, direction, value: float, expected: float) -> None:
    assert Anchors(zero, one, direction).score(value) == pytest.approx(expected, abs=1e-12)
    scaled = Anchors(7 * zero, 7 * one, direction)  # the unit does not matter
    assert scaled.score(7 * value) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_what_has_no_logarithm_has_no_score(value: float) -> None:
    assert math.isnan(Anchors(100.0, 1.0, "lower").score(value))


@pytest.mark.parametrize(
    ("zero", "one", "direction", "reason"),
    [
        (math.nan, 1.0, "lower", "no number"),
        (8.0, math.inf, "lower", "no number"),
        (8.0, 0.0, "lower", "not above 0"),
        (-8.0, 1.0, "lower", "not above 0"),
        (8.0, 8.0, "lower", "not better"),
        (1.0, 8.0, "lower", "not better"),
        (8.0, 1.0, "higher", "not better"),
    ],
)
def test_anchors_between_which_there_is_no_scale_say_why(zero: float, one: float, direction, reason: str) -> None:
    anchors = Anchors(zero, one, direction)
    assert reason in (anchors.fault or "")
    assert math.isnan(anchors.score(2.0))


def test_the_middle_mean_cuts_a_quarter_of_the_weight_at_either_end() -> None:
    values = np.array([10.0, 0.0, 4.0, 1.0, 2.0])
    assert middle_mean(values, np.full(5, 0.2)) == pytest.approx((0.75 * 1 + 2 + 0.75 * 4) / 2.5)
    eight = np.random.default_rng(0).normal(size=(3, 8))
    expected = stats.trim_mean(eight, 0.25, axis=1)
    np.testing.assert_allclose(middle_mean(eight, np.full(8, 1 / 8)), expected)
    weights = np.array([1, 2, 3, 1, 1]) / 8
    repeated = np.repeat(values, [1, 2, 3, 1, 1])
    assert middle_mean(values, weights) == pytest.approx(stats.trim_mean(repeated, 0.25))


def test_every_dataset_weighs_the_same_however_many_of_its_seeds_there_are() -> None:
    assert interquartile_mean({"a": [0.0, 0.0, 0.0, 0.0], "b": [1.0]}).value == pytest.approx(0.5)


def test_the_bootstrap_draws_one_less_than_there_are_within_each_dataset() -> None:
    groups = {"a": [0.1, 0.5, 0.2], "b": [0.3, 0.9], "c": [1.0, 1.1, 1.6]}
    every = [itertools.product(values, repeat=len(values) - 1) for values in groups.values()]
    weights = np.repeat([1 / 6, 1 / 3, 1 / 6], [2, 1, 2])
    resamples = [float(middle_mean(np.array([*a, *b, *c]), weights)) for a, b, c in itertools.product(*every)]
    assert len(resamples) == 9 * 2 * 9
    # Winsorised at the first and last values that lie at least partly in the middle half: 0.3 and 1.0.
    squares = [np.var(np.clip(values, 0.3, 1.0), ddof=1) / len(values) for values in groups.values()]
    degrees = sum(squares) ** 2 / sum(part**2 / (len(v) - 1) for part, v in zip(squares, groups.values(), strict=True))
    expected = quantile(degrees) * float(np.std(resamples))
    assert interquartile_mean(groups, draws=40000).half_width == pytest.approx(expected, rel=0.015)


def test_values_beyond_the_quarters_count_as_those_at_them_and_few_draws_have_their_own_spread() -> None:
    """Eight of equal weight: the third and the sixth are the first and the last inside."""
    groups = {"a": [0.0, 1.0, 2.0, 3.0], "b": [1.5, 2.5, 4.0, 9.0]}
    squares = [np.var(np.clip(values, 1.5, 3.0), ddof=1) / 4 for values in groups.values()]
    degrees = sum(squares) ** 2 / sum(part**2 / 3 for part in squares)
    drawn = bootstrap([np.array(values) for values in groups.values()], [3, 3], 0, 4)
    expected = quantile(degrees) * math.sqrt(sum((drawn - drawn.mean()) ** 2) / 3)
    assert interquartile_mean(groups, draws=4).half_width == pytest.approx(expected, rel=1e-12)


def test_resamples_are_the_same_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    group = np.random.default_rng(0).normal(size=6)
    whole = bootstrap([group], [5], 3, 11)
    monkeypatch.setattr(interquartile, "_AT_ONCE", 21)  # four resamples of five
    np.testing.assert_array_equal(bootstrap([group], [5], 3, 11), whole)
    assert len(whole) == 11


def test_the_interval_depends_on_its_seed_alone_and_needs_two_seeds_of_each_dataset() -> None:
    strata = {"a": [0.1, 0.5, 0.2], "b": [0.3, 0.9, 0.4]}
    assert interquartile_mean(strata, 1) == interquartile_mean(dict(reversed(strata.items())), 1)
    assert interquartile_mean(strata, 1) == interquartile_mean({name: v[::-1] for name, v in strata.items()}, 1)
    assert interquartile_mean(strata, 1).half_width != interquartile_mean(strata, 2).half_width
    assert interquartile_mean(strata) == interquartile_mean(strata, 0)
    assert interquartile_mean({**strata, "c": [0.4]}).half_width is None
    assert interquartile_mean({"a": [0.5, 0.5], "b": [0.25, 0.25]}).half_width == 0.0


def test_the_interval_of_an_interquartile_mean_holds_the_truth_where_percentiles_do_not() -> None:
    draw = np.random.default_rng(3)
    means, spread, times = np.linspace(0, 1, 5), 0.1, 300
    normal = stats.norm.ppf((np.arange(999) + 0.5) / 999)
    everything = (means[:, None] + spread * normal).ravel()
    truth = float(middle_mean(everything, np.full(everything.size, 1 / everything.size)))
    held = plain = 0
    for scores in means[:, None] + spread * draw.normal(size=(times, 5, 3)):
        found = interquartile_mean({str(place): row.tolist() for place, row in enumerate(scores)}, draws=100)
        assert found.half_width is not None
        held += abs(found.value - truth) <= found.half_width
        low, high = np.quantile(bootstrap([*scores], [3] * 5, 0, 100), (0.025, 0.975))
        plain += low <= truth <= high
    assert 0.92 <= held / times <= 0.985
    assert plain / times < 0.90


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("kind", ["alike", "unlike"])
def test_three_datasets_are_enough_for_the_interval(monkeypatch: pytest.MonkeyPatch, kind: str, seeds: int) -> None:
    """As `benchmarks/aggregate_coverage.py` draws them, which also tries skewed scores."""
    for name, value in {"WORLDS": 8, "TIMES": 50, "DRAWS": 100, "POINTS": 400}.items():
        monkeypatch.setattr(aggregate_coverage, name, value)
    held, plain = aggregate_coverage.of_interquartile_means(kind, "normal", 3, seeds)
    assert 0.93 - 0.02 <= held <= 0.97 + 0.02  # twice the deviation of so many draws
    assert plain < 0.92


def test_a_stratified_difference_over_one_dataset_is_welchs() -> None:
    one, other = [1.0, 2.5, 2.0, 4.0], [0.5, 0.7, 0.1, 0.9]
    found = mean_difference({"a": one}, {"a": other})
    assert found.value == pytest.approx(np.mean(one) - np.mean(other))
    assert found.half_width == pytest.approx(independent_half_width(Mean.of(one), Mean.of(other)))
    assert found.p == pytest.approx(independent_p(Mean.of(one), Mean.of(other)))


def test_a_stratified_mean_adds_squared_errors_by_the_squares_of_the_weights() -> None:
    found = stratified([(0.5, Mean(1.0, 0.04, 3)), (0.5, Mean(3.0, 0.04, 3))])
    assert found.value == 2.0
    assert found.half_width == pytest.approx(quantile(4) * math.sqrt(0.02))
    assert freedom([1.0, 0.0], [3, 9]) == 2.0
    assert freedom([0.0, 0.0], [3, 9]) == 2.0
    assert stratified([(1.0, Mean(0.0, 0.0, 2))]) == Estimate(0.0, 0.0, 1.0)
    assert stratified([(1.0, Mean(0.5, 0.0, 2))]) == Estimate(0.5, 0.0, 0.0)
    assert stratified([(0.5, Mean(3.0, 0.0, 1)), (0.5, Mean(1.0, 0.0, 2))]) == Estimate(2.0, None)


@pytest.mark.parametrize(("share", "count"), [(0.0, 9), (0.3, 15), (1.0, 15), (0.5, 4)])
def test_the_ends_of_a_share_are_where_its_score_test_turns(share: float, count: int) -> None:
    for end in share_interval(share, count):
        expected = 1.959964 * math.sqrt(end * (1 - end) / count)
        assert abs(share - end) == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_a_chance_counts_pairs_and_halves_ties() -> None:
    assert chance_of_more([3.0, 2.0], [2.0, 1.0]) == (1 + 1 + 0.5 + 1) / 4
    assert chance_of_more([1.0], [1.0]) == 0.5
    assert chance_of_more([1.0], [2.0]) == 0.0


def test_a_pair_is_compared_on_what_both_have() -> None:
    scores = {
        "a": {"x": [1.0, 1.1, 1.2], "y": [2.0, 2.1, 2.3], "z": [9.0, 9.0, 9.0]},
        "b": {"x": [0.0, 0.1, 0.3], "y": [1.0, 1.1, 1.2], "z": []},
        "c": {"w": [1.0, 2.0]},
    }
    (pair,) = matrix(scores)
    assert (pair.first, pair.second, pair.datasets) == ("a", "b", ("x", "y"))
    assert pair.difference.value == pytest.approx(((1.1 - 0.4 / 3) + (6.4 / 3 - 1.1)) / 2)
    assert pair.chance == 1.0
    assert pair.chance_interval == share_interval(1.0, 2 * 3)
    assert pair.resolved


def test_pairs_with_too_few_seeds_for_a_p_are_no_part_of_the_family_and_the_fewest_seeds_set_the_interval() -> None:
    scores = {
        "c": {"x": [1.0], "y": [1.5]},
        "a": {"x": [1.0, 3.0, 5.0], "y": [2.0, 2.5, 3.0]},
        "b": {"x": [2.0, 4.0], "y": [0.0, 0.1, 0.2, 0.3]},
    }
    *others, last = matrix(scores)
    assert last.p_holm == last.difference.p is not None
    assert [pair.p_holm for pair in others] == [None, None]
    assert last.chance == pytest.approx((0.5 + 1) / 2)  # on x, three of six pairs
    assert last.chance_interval == share_interval(0.75, 2 * 2)


def test_false_claims_are_rare_in_a_family_and_true_ones_are_made() -> None:
    draw = np.random.default_rng(5)
    times, families, found_true, covered, pairs = 200, 0, 0, 0, 0
    for _ in range(times):
        spreads = 0.1 * np.exp(0.7 * draw.normal(size=(4, 5, 1)))
        scores = spreads * draw.normal(size=(4, 5, 3))
        scores[3] -= 0.5
        found = matrix({str(m): {str(d): v.tolist() for d, v in enumerate(rows)} for m, rows in enumerate(scores)})
        equal = [pair for pair in found if "3" not in (pair.first, pair.second)]
        families += any(pair.resolved for pair in equal)
        found_true += sum(pair.resolved for pair in found if pair not in equal)
        covered += sum(pair.chance_interval[0] <= 0.5 <= pair.chance_interval[1] for pair in equal)
        pairs += len(equal)
    assert families / times <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / times)
    assert covered / pairs >= 0.94
    assert found_true / (3 * times) > 0.8


def test_a_profile_gives_each_dataset_the_same_weight() -> None:
    found = profile({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 1.0]}, [-1.0, 0.0, 1.0, 2.5, 3.0])
    assert found.thresholds.tolist() == [-1.0, 0.0, 1.0, 2.5, 3.0]
    assert found.shares.tolist() == [1.0, (0.75 + 1) / 2, (0.5 + 0) / 2, 0.25 / 2, 0.0]
    assert (found.low[1], found.high[1]) == pytest.approx(share_interval(0.875, 4))


# Demšar (2006), table 6: areas under the curve of four variants of C4.5 on fourteen datasets.
AREAS = """.763 .768 .771 .798  .599 .591 .590 .569  .954 .971 .968 .967  .628 .661 .654 .657  .882 .888 .886 .898
.936 .931 .916 .931  .661 .668 .609 .685  .583 .583 .563 .625  .775 .838 .866 .875  1 1 1 1  .940 .962 .965 .962
.619 .666 .614 .669  .972 .981 .978 .975  .957 .978 .946 .970"""


def test_ranks_are_those_of_demsars_example() -> None:
    areas = np.array(AREAS.split(), dtype=float).reshape(14, 4)
    names = ("plain", "m", "cf", "m and cf")
    found = ranking({name: dict(enumerate(column)) for name, column in zip(names, areas.T.tolist(), strict=True)})
    assert {name: round(rank, 3) for name, rank in found.ranks.items()} == {
        "m and cf": 1.964,
        "m": 2.0,
        "cf": 2.893,
        "plain": 3.143,
    }
    squared = stats.friedmanchisquare(*areas.T).statistic
    assert found.p == pytest.approx(stats.f.sf(13 * squared / (14 * 3 - squared), 3, 39))
    tests = {
        pair: signed_rank_p(np.subtract(*(areas[:, names.index(one)] for one in pair)).tolist())
        for pair in found.p_holm
    }
    assert found.p_holm[min(tests, key=tests.__getitem__)] == pytest.approx(6 * min(tests.values()))


def test_cliques_are_the_longest_runs_that_nothing_tells_apart() -> None:
    draw = np.random.default_rng(0)
    base = draw.normal(size=12)
    values = {"best": base + 3, "like it": base + 3 + 0.01 * draw.normal(size=12), "worst": base - 3}
    found = ranking({name: dict(enumerate(column.tolist())) for name, column in values.items()})
    assert [set(clique) for clique in found.cliques] == [{"best", "like it"}]
    assert [*found.ranks][-1] == "worst"
    assert found.p < 0.001
    more = {**values, "like both": base + 3 + 0.01 * draw.normal(size=12)}
    found = ranking({name: dict(enumerate(column.tolist())) for name, column in more.items()})
    assert [set(clique) for clique in found.cliques] == [{"best", "like it", "like both"}]  # and no part of it


def test_one_order_on_every_dataset_leaves_no_doubt_and_equal_ranks_are_ordered_by_name() -> None:
    base = dict(enumerate(np.random.default_rng(0).normal(size=10).tolist()))
    found = ranking({name: {k: v + up for k, v in base.items()} for name, up in (("b", 0.0), ("c", 1.0), ("a", 2.0))})
    assert ([*found.ranks.items()], found.p) == ([("a", 1.0), ("c", 2.0), ("b", 3.0)], 0.0)
    assert [*ranking({"b": base, "a": base}).ranks] == ["a", "b"]


@pytest.mark.parametrize("size", [5, 12, 25])
def test_signed_ranks_are_exact(size: int) -> None:
    values = np.random.default_rng(size).normal(0.3, 1, size)
    assert signed_rank_p(values.tolist()) == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)


@pytest.mark.parametrize(
    "differences", [[1, 1, -1, 2, 0, 3, 3], [-1, 1, -2, 2, 3], [-1, -1, 2, 2, 3]], ids=["zero", "level", "next"]
)
def test_signed_ranks_with_ties_and_zeros_are_those_of_all_signs(differences: list[float]) -> None:
    """`level`: another choice of signs has the same sum; `next`: another has a sum that is larger by a half."""
    values = np.array(differences, dtype=float)
    given = values[values != 0]
    ranks = stats.rankdata(abs(given))
    sums = [
        sum(r for r, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((0, 1), repeat=len(given))
    ]
    below = sum(ranks[given < 0])
    assert signed_rank_p(values.tolist()) == pytest.approx(2 * sum(found <= below for found in sums) / len(sums))


def test_signed_ranks_of_nothing_and_of_as_much_below_as_above() -> None:
    assert signed_rank_p([0.0, 0.0]) == 1.0
    assert signed_rank_p([1.0, -1.0]) == 1.0  # twice the tail is 3/2


def test_an_order_that_one_dataset_leaves_open_is_not_without_doubt() -> None:
    base = dict(enumerate(np.random.default_rng(0).normal(size=10).tolist()))
    found = ranking({"a": base, "b": {**{name: value - 1 for name, value in base.items()}, 0: base[0]}})
    assert found.p == pytest.approx(stats.f.sf(9 * 9 / (10 - 9), 1, 9))


def test_equal_models_have_equal_ranks_and_no_p() -> None:
    same = dict.fromkeys(map(str, range(10)), 0.5)
    found = ranking({"a": same, "b": same})
    assert (found.ranks, found.p, found.cliques) == ({"a": 1.5, "b": 1.5}, 1.0, (("a", "b"),))


def test_ranks_over_nine_datasets_are_refused() -> None:
    with pytest.raises(ValueError, match="9 datasets"):
        ranking({name: dict.fromkeys(map(str, range(9)), 0.5) for name in "ab"})
