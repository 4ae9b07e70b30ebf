from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from genbench.records.intervals import Mean
from genbench.records.real_ratio import RealRatio, of_real, real_mean


def test_the_interval_is_that_of_the_logarithm_with_cochran_s_quantile() -> None:
    found = of_real([8.0, 10.0, 12.0], Mean(2.0, 0.3**2, 3))
    assert found is not None
    seeds, evaluation = (2.0 / math.sqrt(3) / 10) ** 2, (0.3 / 2) ** 2
    quantile = (seeds * stats.t.ppf(0.975, 2) + evaluation * stats.norm.ppf(0.975)) / (seeds + evaluation)
    half = quantile * math.sqrt(seeds + evaluation)
    assert found.ratio == pytest.approx(5.0)
    assert found.low == pytest.approx(5 * math.exp(-half))
    assert found.high == pytest.approx(5 * math.exp(half))
    assert found.resolved
    assert not found.below_real


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("spread", [0.02, 0.06, 0.2])
def test_simulated_intervals_cover_the_ratio(seeds: int, spread: float) -> None:
    rng = np.random.default_rng(seeds)
    error, count = 0.06, 2000
    models = rng.normal(4.0, 4.0 * spread, (count, seeds))
    reals = rng.normal(1.0, error, count)
    found = [of_real([*row], Mean(real, error**2, 3)) for row, real in zip(models, reals, strict=True)]
    inside = sum(ratio.low <= 4.0 <= ratio.high for ratio in found if ratio and ratio.low and ratio.high)
    assert 0.935 <= inside / count <= 0.978  # 93 to 97%, plus the error of this many draws


def test_the_error_of_real_is_a_finite_population_s() -> None:
    """Each seed draws 50 of 200 held-out items; the error is around the mean of the whole population."""
    rng = np.random.default_rng(0)
    means = []
    for _ in range(4000):
        held_out = rng.normal(5.0, 1.0, 200)
        means.append(np.mean([rng.choice(held_out, 50, replace=False).mean() for _ in range(3)]))
    found = real_mean([5.0, 5.0, 5.0], 1 / math.sqrt(50), 50, 200)
    assert found is not None
    assert math.sqrt(found.variance) == pytest.approx(np.std(means), rel=0.04)


@pytest.mark.parametrize(("count", "held_out"), [(500, 500), (500, 400), (500, 0)])
def test_where_every_seed_sees_all_held_out_items_more_seeds_tell_nothing_more(count: int, held_out: int) -> None:
    found = real_mean([0.5] * 9, 0.1, count, held_out)
    assert found is not None
    assert found.variance == pytest.approx(0.01)


def test_without_an_interval() -> None:
    real = Mean(0.5, 0.01, 3)
    assert of_real([1.0], real) == RealRatio(2.0)
    assert of_real([1.0, 1.5], real_mean([0.5], None, 10, 10)) == RealRatio(2.5)
    assert of_real([1.0, 1.0], Mean(0.5, 0.0, 3)) == RealRatio(2.0, 2.0, 2.0)
    assert not RealRatio(0.5).resolved
    assert RealRatio(0.5).below_real


@pytest.mark.parametrize("values", [[], [math.nan], [-0.1, 0.05], [0.0, 0.0]])
def test_where_there_is_no_ratio(values: list[float]) -> None:
    assert of_real(values, Mean(0.5, 0.01, 3)) is None
    assert real_mean(values, 0.1, 10, 10) is None
    assert of_real([1.0, 2.0], None) is None


def test_a_value_that_is_no_number_is_left_out() -> None:
    real = Mean(0.5, 0.01, 3)
    assert of_real([1.0, math.nan, 2.0], real) == of_real([1.0, 2.0], real)
