"""The verdict on times, compared with the bootstrap-t written out and with cases that can be decided by hand."""

from __future__ import annotations

import functools
import math
import statistics

import numpy as np
import pytest

from genbench.regression.decision import RESAMPLES, Timing, estimate, judge, p_above

# Skewed, so that the two ends of an interval cannot be confused.
LOGS = (0.01, 0.02, 0.015, 0.03, 0.025, 0.018, 0.022, 0.12)
QUIET = (0.001, -0.001, 0.0005, -0.0005, 0.0012, -0.0012, 0.0, 0.0003)


@functools.cache
def studentised(values: tuple[float, ...]) -> list[float]:
    """(mean of the resample − mean) ÷ its own standard error, for each resample."""
    found = []
    for row in np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values))).tolist():
        drawn = [values[index] for index in row]
        mean = sum(drawn) / len(drawn)
        shift = mean - sum(values) / len(values)
        spread = math.sqrt(sum((value - mean) ** 2 for value in drawn) / (len(drawn) - 1))
        found.append(shift * math.sqrt(len(values)) / spread if spread > 1e-15 else math.copysign(math.inf, shift))
    return sorted(found)


def test_an_estimate_is_the_bootstrap_t_written_out() -> None:
    found, t = estimate(LOGS), studentised(LOGS)
    mean, error = statistics.fmean(LOGS), statistics.stdev(LOGS) / math.sqrt(len(LOGS))
    low, high = np.quantile(t, [0.025, 0.975])
    assert found.ratio == pytest.approx(math.exp(mean))
    assert found.low == pytest.approx(math.exp(mean - high * error))
    assert found.high == pytest.approx(math.exp(mean - low * error))
    assert found.high / found.ratio > found.ratio / found.low  # the long tail of LOGS is the upper one


@pytest.mark.parametrize("limit", [0.99, 1.0, 1.02, 1.03, 1.05, 1.2])
def test_a_p_value_counts_the_resamples_that_go_as_far(limit: float) -> None:
    distance = (statistics.fmean(LOGS) - math.log(limit)) / (statistics.stdev(LOGS) / math.sqrt(len(LOGS)))
    beyond = sum(t >= distance for t in studentised(LOGS))
    assert p_above(LOGS, limit) == pytest.approx((beyond + 1) / (RESAMPLES + 1), abs=2 / RESAMPLES)


def test_a_resample_that_goes_exactly_as_far_counts() -> None:
    """In C(8, 4) / 2^8 of all resamples, four of the eight signs are plus; their mean is that of the values, 0."""
    ties = math.comb(8, 4) / 2**8
    assert p_above((-0.125, 0.125) * 4, 1.0) == pytest.approx(0.5 + ties / 2, abs=0.02)


def test_no_p_value_of_a_bootstrap_is_zero() -> None:
    """If no resample goes as far, the sample itself still does."""
    assert p_above([value + 1.0 for value in QUIET], 1.0) == pytest.approx(1 / (RESAMPLES + 1))


def test_the_p_value_and_the_lower_bound_agree() -> None:
    low = estimate(LOGS).low
    assert p_above(LOGS, low * 0.999) < 0.025 < p_above(LOGS, low * 1.001)


def test_times_without_any_spread_are_decided_by_their_ratio() -> None:
    assert p_above([0.1] * 8, 1.05) == 0.0
    assert p_above([0.1] * 8, 1.2) == 1.0
    assert p_above([math.log(1.05)] * 8, 1.05) == 1.0  # at the limit is not beyond it


def test_two_pairs_are_an_interval() -> None:
    found = estimate((0.1, 0.1))
    assert [found.ratio, found.low, found.high] == pytest.approx([math.exp(0.1)] * 3)


@pytest.mark.parametrize("function", [estimate, lambda values: p_above(values, 1.0)])
def test_one_pair_is_no_interval(function) -> None:
    with pytest.raises(ValueError, match=r"^an interval needs at least two pairs, not 1$"):
        function([0.1])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_floor_is_the_farther_end_whichever_process_was_slower(sign: int) -> None:
    """The base's two processes are 8% apart without any spread: noise of 8% in either direction."""
    (found,) = judge([Timing((0.2,) * 8, (sign * math.log(1.08),) * 8)], 0.05)
    assert found.verdict == "cannot tell"
    assert found.p_holm is None
    assert found.limit == pytest.approx(1.08)
    (found,) = judge([Timing((0.2,) * 8, (sign * math.log(1.08),) * 8)], 0.1)
    assert (found.verdict, found.limit) == ("slower", pytest.approx(1.1))
    assert found.floor.ratio == pytest.approx(1.08**sign)
    assert found.estimate.ratio == pytest.approx(math.exp(0.2))


def test_noise_of_just_the_threshold_still_allows_a_verdict() -> None:
    (found,) = judge([Timing((0.2,) * 8, (0.0,) * 8)], 0.0)
    assert (found.verdict, found.limit) == ("slower", 1.0)


@pytest.mark.parametrize(
    ("slow_down", "verdict"), [(1.04, "not slower"), (1.0499, "not slower"), (1.0501, "slower"), (0.5, "not slower")]
)
def test_a_slow_down_is_one_beyond_the_threshold(slow_down: float, verdict: str) -> None:
    (found,) = judge([Timing((math.log(slow_down),) * 8, QUIET)], 0.05)
    assert found.verdict == verdict
    assert found.limit == pytest.approx(1.05)


def test_the_correction_is_holms_over_the_models_that_allow_a_verdict() -> None:
    """Of p-values p and 1, Holm doubles the smaller: slower alone, not slower in company; noisy models do not count."""
    low = estimate(LOGS).low
    threshold = low * 0.9995 - 1  # the lower bound is just above it: p is just below 0.025
    quiet = Timing(LOGS, (0.0,) * 8)
    p = p_above(LOGS, 1 + threshold)
    assert 0.02 < p < 0.025
    (alone,) = judge([quiet], threshold)
    assert (alone.verdict, alone.p_holm) == ("slower", pytest.approx(p))
    unchanged = Timing((-0.01,) * 8, (0.0,) * 8)
    first, second = judge([quiet, unchanged], threshold)
    assert (first.verdict, first.p_holm) == ("not slower", pytest.approx(2 * p))
    assert (second.verdict, second.p_holm) == ("not slower", 1.0)
    for head in (0.5, 0.0):
        noisy = Timing((head,) * 8, (0.4,) * 8)
        verdicts = [judgement.verdict for judgement in judge([noisy, quiet, noisy], threshold)]
        assert verdicts == ["cannot tell", "slower", "cannot tell"]
