"""Statistics of answers, checked against closed forms, planted truths and independent computations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import optimize, stats
from study_coverage import coverage, simulated_votes

from genbench.study.clusters import DRAWS, Interval, mean_interval, mean_p, percentiles, resamples, share
from genbench.study.detection import Counts, compared, deceived
from genbench.study.power import resolvable_share, votes_needed
from genbench.study.preference import ELO, Votes, _misfit, log_strengths, preferences


@pytest.mark.parametrize("true", [0.52, 0.55, 0.6, 0.7, 0.9, 0.3])
def test_votes_needed_give_the_power_of_the_normal_test(true: float) -> None:
    def power(votes: int) -> float:
        spread = math.sqrt(true * (1 - true) / votes)
        reach = stats.norm.ppf(0.975) * math.sqrt(0.25 / votes)
        return float(stats.norm.sf((0.5 + reach - max(true, 1 - true)) / spread))

    votes = votes_needed(true)
    assert power(votes) >= 0.8 > power(votes - 1)


def test_published_numbers_of_votes_and_their_inverse() -> None:
    assert [votes_needed(share) for share in (0.55, 0.6, 0.7)] == [783, 194, 47]
    assert resolvable_share(194) == pytest.approx(0.6, abs=2e-4)
    assert resolvable_share(3) is None
    assert resolvable_share(0) is None
    for impossible in (0.5, 0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match="cannot be told"):
            votes_needed(impossible)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    # 40 studies tell 95% from the 75% of votes taken as independent; benchmarks/study_coverage.py runs 1,000.
    found = coverage(40, seed=3)
    assert len(found) == 13
    for what, held in found.items():
        assert held >= 0.85, (what, held)


def test_the_interval_of_a_mean_is_close_to_students_where_nothing_is_skewed() -> None:
    values = stats.norm.ppf((np.arange(40) + 0.5) / 40)
    found = mean_interval(values, 0)
    half = stats.t.ppf(0.975, 39) * values.std(ddof=1) / math.sqrt(40)
    assert found.low == pytest.approx(-half, rel=0.06)
    assert found.high == pytest.approx(half, rel=0.06)
    assert mean_p(values + half) == pytest.approx(0.05, abs=1e-9)


def test_few_raters_have_no_interval_and_resolve_nothing() -> None:
    values = np.array([0.1, 0.2, 0.3, 0.4])
    assert mean_interval(values, 0) == Interval(0.25, None, None)
    assert mean_p(values) == 1.0


def test_raters_who_all_agree_have_the_interval_of_one_share() -> None:
    found = share(np.zeros(20), 100, 0)
    assert found.low == pytest.approx(0.0, abs=1e-12)
    assert found.high == pytest.approx(1.959964**2 / (100 + 1.959964**2), rel=1e-6)  # Wilson's interval at 0
    assert mean_p(np.full(6, 0.5)) == 2.0**-5  # the p-value when all have the same sign
    assert mean_p(np.zeros(6)) == 1.0


def test_raters_who_never_err_are_known_as_well_as_their_answers_are_many() -> None:
    found = deceived([Counts(10, 10)] * 6, [Counts(0, 4)] * 6, 0)
    square = 1.959964**2  # Wilson's interval at 0 ends at z²/(n + z²)
    assert found.real_as_fake.high == pytest.approx(square / (60 + square), rel=1e-6)
    assert found.fake_as_real.high == pytest.approx(square / (24 + square), rel=1e-6)
    assert found.error.high == found.fake_as_real.high  # a mean of both, known no better than the lesser known


def test_answers_of_one_rater_are_no_more_than_one_rater() -> None:
    # Ten times as many answers from the same raters, with the same shares, add no information.
    real, fake = (9, 7, 8, 9, 10, 6), (1, 3, 5, 2, 6, 4)
    few, many = ([[Counts(k * times, 10 * times) for k in side] for side in (real, fake)] for times in (1, 10))
    assert deceived(*few, 0).error == deceived(*many, 0).error


def test_error_rates_by_hand() -> None:
    real = [Counts(8, 10), Counts(6, 10), Counts(10, 10), Counts(8, 10), Counts(8, 10)]
    fake = [Counts(4, 10), Counts(2, 10), Counts(3, 10), Counts(3, 10), Counts(3, 10)]
    found = deceived(real, fake, 0)
    assert found.real_as_fake.value == pytest.approx(0.2)
    assert found.fake_as_real.value == pytest.approx(0.3)
    assert found.error.value == pytest.approx(0.25)
    assert found.answers == 50
    z = stats.norm.ppf
    hits, alarms = np.array([8.5, 6.5, 10.5, 8.5, 8.5]) / 11, np.array([4.5, 2.5, 3.5, 3.5, 3.5]) / 11
    assert found.d_prime.value == pytest.approx((z(hits) - z(alarms)).mean())
    assert found.bias.value == pytest.approx(-((z(hits) + z(alarms)) / 2).mean())


def test_who_cannot_tell_errs_by_half_however_biased() -> None:
    for said in (0, 5, 10):
        counts = [Counts(said, 10)] * 6
        found = deceived(counts, counts, 0)
        assert found.error.value == 0.5
        assert found.d_prime.value == 0.0
        assert np.sign(found.bias.value) == np.sign(5 - said)


def test_models_are_compared_within_raters() -> None:
    # Raters differ far more than the models do, but each finds the first harder by the same amount: resolved.
    own = np.arange(20)
    fakes = {
        "first": [Counts(int(k) + 5 + k % 2, 30) for k in own],
        "second": [Counts(int(k), 30) for k in own],
        "third": [Counts(int(k) + (k % 3 - 1), 30) for k in own + 1],
    }
    found = {(pair.first, pair.second): pair for pair in compared(fakes, 0)}
    assert found["first", "second"].p_holm < 1e-6
    assert found["first", "second"].difference.value == pytest.approx(5.5 / 30 / 2)
    assert found["second", "third"].difference.value < 0


def holm_by_hand(p_values: Sequence[float]) -> list[float]:
    """Correct each p-value for how many are at least as large, never below a smaller one's."""
    ordered = sorted(p_values)
    steps = [min(1.0, (len(ordered) - rank) * p) for rank, p in enumerate(ordered)]
    return [max(steps[: ordered.index(p) + 1]) for p in p_values]


def test_pairs_of_models_are_corrected_for_how_many_there_are() -> None:
    generator = np.random.default_rng(11)
    fakes = {
        name: [Counts(int(real), 40) for real in generator.binomial(40, rate, 12)]
        for name, rate in (("a", 0.3), ("b", 0.36), ("c", 0.44))
    }
    found = compared(fakes, 0)
    alone = [
        float(stats.ttest_rel([one.real for one in fakes[pair.first]], [one.real for one in fakes[pair.second]]).pvalue)
        for pair in found
    ]
    assert sorted(alone)[1] > 2 * sorted(alone)[0] > 0  # so each of the three is multiplied by another number
    assert [pair.p_holm for pair in found] == pytest.approx(holm_by_hand(alone))


def test_pairs_of_preferences_are_corrected_for_how_many_there_are() -> None:
    votes = simulated_votes(np.random.default_rng(4), {"a": 0.4, "b": 0.0, "c": -0.2}, raters=15)
    found = preferences(votes, 0, draws=50).pairs
    alone = []
    for one, other in itertools.combinations(range(3), 2):
        won, lost = votes.wins[:, one, other], votes.wins[:, other, one]
        alone.append(float(stats.ttest_1samp(won / (won + lost), 0.5).pvalue))
    assert [pair.p_holm for pair in found] == pytest.approx(holm_by_hand(alone))
    assert [pair.p_holm for pair in found] != pytest.approx(alone)


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 2.0, 3.0, 4.0, 5.0, 9.0]])
def test_ends_are_wider_than_percentiles_for_few_raters_and_follow_their_skew(values: list[float]) -> None:
    # A statistic whose resamples are exactly normal: a percentile is the normal deviation that it belongs to.
    drawn = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    data, raters = np.array(values), len(values)
    found = percentiles(0.0, drawn, (data.sum() - data) / (raters - 1))
    reach = math.sqrt(raters / (raters - 1)) * float(stats.t.ppf(0.975, raters - 1))
    skew = float(stats.skew(data)) / (6 * math.sqrt(raters))  # the acceleration of a mean
    assert found.low is not None
    assert found.high is not None
    low, high = (skew + (skew + side) / (1 - skew * (skew + side)) for side in (-reach, reach))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)
    assert (found.high > -found.low + 0.5) == (skew > 0.01)  # where one rater is far above, so may others be


def test_strengths_follow_the_skew_that_leaving_out_each_rater_shows() -> None:
    votes = simulated_votes(np.random.default_rng(2), {"a": 0.9, "b": 0.0, "c": -0.9}, raters=8)
    found = preferences(votes, 3)
    drawn = ELO * log_strengths(np.tensordot(resamples(8, 3), votes.wins, 1))
    without = np.stack([log_strengths(np.delete(votes.wins, rater, 0).sum(0)[None])[0] for rater in range(8)])
    for place, model in enumerate(votes.models):
        expected = percentiles(found.elo[model].value, drawn[:, place], ELO * without[:, place])
        assert (found.elo[model].low, found.elo[model].high) == pytest.approx((expected.low, expected.high))


def test_strengths_are_those_of_the_greatest_likelihood() -> None:
    wins = np.array([[0, 7, 9.5, 3], [5, 0, 6, 4], [2.5, 6, 0, 8], [2, 1, 4, 0]])

    def loss(free: np.ndarray) -> float:
        level = np.append(free, 0.0)
        return float(
            sum(wins[i, j] * np.log1p(np.exp(level[j] - level[i])) for i, j in itertools.product(range(4), repeat=2))
        )

    best = np.append(optimize.minimize(loss, np.zeros(3), tol=1e-10).x, 0.0)
    assert log_strengths(wins[None])[0] == pytest.approx(best - best.mean(), abs=1e-4)


def test_elo_points_are_400_for_odds_of_ten() -> None:
    wins = np.array([[0.0, 100.0], [10.0, 0.0]])
    votes = Votes(("a", "b"), np.repeat(wins[None], 6, 0), np.full(6, 55.0), np.full(6, 110.0), np.zeros(6))
    found = preferences(votes, 0)
    assert found.elo["a"].value - found.elo["b"].value == pytest.approx(400)
    assert found.transitivity_p is None
    assert not found.regularised


def test_planted_strengths_are_recovered() -> None:
    planted = {"a": 1.2, "b": 0.4, "c": -0.5, "d": -1.1}
    generator = np.random.default_rng(5)
    shares = np.array([[1 / (1 + math.exp(planted[j] - planted[i])) for j in planted] for i in planted])
    wins = generator.binomial(2000, np.triu(shares, 1))
    wins = wins + np.tril(2000 - wins.T, -1)
    found = log_strengths(wins[None].astype(float))[0]
    assert found == pytest.approx(np.array(list(planted.values())) - np.mean(list(planted.values())), abs=0.05)


def test_a_model_that_won_everything_has_a_finite_strength() -> None:
    wins = np.zeros((8, 3, 3))
    wins[:, 0, 1] = wins[:, 0, 2] = 5
    wins[:, 1, 2], wins[:, 2, 1] = 3, 2
    votes = Votes(("best", "b", "c"), wins, np.full(8, 7.0), np.full(8, 15.0), np.zeros(8))
    found = preferences(votes, 0)
    assert found.regularised
    assert found.elo["best"].value > found.elo["b"].value > found.elo["c"].value
    assert all(math.isfinite(interval.value) for interval in found.elo.values())
    total = wins.sum(0) + 0.5 * (1 - np.eye(3))  # half a win each way
    assert found.elo["best"].value == pytest.approx(ELO * log_strengths(total[None])[0][0])


def test_what_the_votes_do_not_bound_has_no_interval() -> None:
    wins = np.zeros((8, 3, 3))
    wins[:, 0, 1] = wins[:, 0, 2] = 5
    wins[:, 1, 2], wins[:, 2, 1] = np.arange(8) % 3 + 1, 4 - np.arange(8) % 3
    found = preferences(Votes(("best", "b", "c"), wins, np.full(8, 7.0), np.full(8, 15.0), np.zeros(8)), 0)
    assert {(one.low, one.high) for one in found.elo.values()} == {(None, None)}


def test_raters_who_all_answered_alike_give_no_interval_of_a_level() -> None:
    assert mean_interval(np.full(9, 0.3), 0) == Interval(pytest.approx(0.3), None, None)
    wins = np.repeat(np.array([[0.0, 7.0], [3.0, 0.0]])[None], 9, 0)
    found = preferences(Votes(("a", "b"), wins, np.full(9, 5.0), np.full(9, 10.0), np.zeros(9)), 0)
    assert found.elo["a"].value == pytest.approx(ELO * math.log(7 / 3) / 2)
    assert (found.elo["a"].low, found.elo["b"].high) == (None, None)


def test_votes_that_agree_with_an_order_never_contradict_it() -> None:
    # An infinite strength explains who wins everything: half wins that were added to show a finite one do not count.
    wins = np.zeros((12, 4, 4))
    wins[:, *np.triu_indices(4, 1)] = 10
    assert preferences(Votes(tuple("abcd"), wins, np.ones(12), np.ones(12), np.zeros(12)), 0).transitivity_p is None
    levels, generator = np.array([10.0, 0.7, 0.0, -0.7]), np.random.default_rng(4)
    shares = 1 / (1 + np.exp(levels[None, :] - levels[:, None]))
    found = []
    for _ in range(60):
        won = generator.binomial(10, np.triu(shares, 1), (20, 4, 4)).astype(float)
        wins = won + np.tril((10 - won).transpose(0, 2, 1), -1)
        found.append(preferences(Votes(tuple("abcd"), wins, np.ones(20), np.ones(20), np.zeros(20)), 0, draws=300))
    assert sum(one.regularised for one in found) > 40
    assert sum(one.transitivity_p is not None and one.transitivity_p < 0.05 for one in found) <= 7  # expected: 3


def test_a_circle_below_a_model_that_wins_everything_is_found() -> None:
    wins = np.zeros((12, 4, 4))
    for better, worse in ((0, 1), (1, 2), (2, 0)):
        wins[:, better, worse], wins[:, worse, better] = 8, 2
    wins[:, :3, :3] += np.random.default_rng(0).integers(0, 2, (12, 3, 3))
    wins[:, 3, :3] = 10
    found = preferences(Votes(tuple("abcd"), wins, np.ones(12), np.ones(12), np.zeros(12)), 0)
    assert found.regularised
    assert found.transitivity_p is not None
    assert found.transitivity_p < 0.01


def test_a_bias_of_position_is_found_where_it_is_planted() -> None:
    strengths = {"a": 0.3, "b": 0.0, "c": -0.3}
    biased = preferences(simulated_votes(np.random.default_rng(2), strengths, each=8, left=0.5), 0)
    fair = preferences(simulated_votes(np.random.default_rng(2), strengths, each=8), 0)
    assert biased.left.low is not None
    assert biased.left.low > 0.5
    assert fair.left.holds(0.5)


def test_a_circle_is_found_and_contradicts_strengths() -> None:
    wins = np.zeros((12, 3, 3))
    for better, worse in ((0, 1), (1, 2), (2, 0)):
        wins[:, better, worse], wins[:, worse, better] = 8, 2
    noise = np.random.default_rng(0).integers(0, 2, (12, 3, 3))
    votes = Votes(("a", "b", "c"), wins + noise, np.full(12, 15.0), np.full(12, 30.0), np.zeros(12))
    found = preferences(votes, 0)
    assert found.circles == (("a", "b", "c"),)
    assert found.transitivity_p is not None
    assert found.transitivity_p < 0.01


def test_an_undecided_pair_closes_no_circle() -> None:
    wins = np.zeros((6, 3, 3))
    wins[:, 0, 1], wins[:, 1, 0] = 8, 2
    wins[:, 1, 2], wins[:, 2, 1] = 8, 2
    wins[:, 0, 2] = wins[:, 2, 0] = 5
    votes = Votes(("a", "b", "c"), wins, np.full(6, 15.0), np.full(6, 30.0), np.zeros(6))
    assert preferences(votes, 0, draws=50).circles == ()


def test_the_null_of_transitivity_has_the_variance_between_raters() -> None:
    # Between three nearly equal models, each pair's residual is a third of the circle c = s12 + s23 - s13 - 1/2, up to
    # its sign, and a share of n games has a variance of 1/(4 n), so the statistic is 4 n c²/3.
    raters, games = 6, 400
    shares = 0.5 + 0.03 * np.random.default_rng(8).normal(size=(raters, 3))
    wins = np.zeros((raters, 3, 3))
    for pair, (one, other) in enumerate(((0, 1), (1, 2), (0, 2))):
        wins[:, one, other] = games * shares[:, pair]
        wins[:, other, one] = games * (1 - shares[:, pair])
    circles = shares[:, 0] + shares[:, 1] - shares[:, 2] - 0.5
    drawn = np.tensordot(resamples(raters, 0, 20_000), wins, 1)
    statistic, null = _misfit(wins.sum(0), drawn, raters)
    unit = 4 * raters * games / 3
    assert statistic == pytest.approx(unit * circles.mean() ** 2, rel=0.02)
    assert null.mean() == pytest.approx(unit * circles.var(ddof=1) / raters, rel=0.04)


def test_pairs_nobody_was_asked_are_no_numbers() -> None:
    wins = np.zeros((6, 3, 3))
    wins[:, 0, 1], wins[:, 1, 0] = 3, 2
    wins[:, 1, 2], wins[:, 2, 1] = 3, 2
    found = preferences(Votes(("a", "b", "c"), wins, np.full(6, 5.0), np.full(6, 10.0), np.zeros(6)), 0)
    missing = next(pair for pair in found.pairs if (pair.first, pair.second) == ("a", "c"))
    assert math.isnan(missing.share.value)
    assert (missing.votes, missing.p_holm) == (0, 1.0)


def test_models_that_nobody_compared_have_no_strength() -> None:
    assert log_strengths(np.zeros((1, 3, 3))).tolist() == [[0.0, 0.0, 0.0]]
    wins = np.zeros((2, 3, 3))
    wins[:, 0, 1], wins[:, 1, 0] = 3, 1
    level = log_strengths(wins)[0]
    assert level[0] - level[1] == pytest.approx(
        math.log(3.5 / 1.5), abs=1e-6
    )  # half a win each way, because the third won none
    assert level[2] == pytest.approx(0.0, abs=1e-6)


def test_resamples_draw_as_many_raters_as_there_are() -> None:
    drawn = resamples(7, 0)
    assert drawn.shape == (DRAWS, 7)
    assert (drawn.sum(1) == 7).all()
    assert drawn.mean() == pytest.approx(1.0)
    assert drawn.var() == pytest.approx(6 / 7, rel=0.05)


def test_another_seed_gives_other_resamples_and_so_another_interval() -> None:
    assert not np.array_equal(resamples(7, 0), resamples(7, 1))
    values = np.array([0.1, 0.3, 0.2, 0.6, 0.4])
    assert mean_interval(values, 0) == mean_interval(values, 0) != mean_interval(values, 1)


def test_a_statistic_that_is_nowhere_finite_has_no_interval() -> None:
    assert percentiles(1.0, np.full(9, np.nan), np.zeros(9)) == Interval(1.0, None, None)
    assert percentiles(np.inf, np.zeros(9), np.zeros(9)).low is None
