"""When a curve is said to have turned for the worse: rarely because of noise alone, and always when it did."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genbench.records.turning import Turn, turn

DRAWS = 800


def curves(count: int, shape: str, draw: np.random.Generator) -> np.ndarray:
    """Return noisy curves (DRAWS, count) of a model that does not get worse."""
    done = np.linspace(0, 1, count)
    level = {"flat": 0 * done, "falling": 5 * (1 - done), "converging": 20 * np.exp(-4 * done)}[shape]
    return level + draw.standard_normal((DRAWS, count))


@pytest.mark.parametrize("shape", ["flat", "falling", "converging"])
@pytest.mark.parametrize("count", [4, 5, 8, 20, 50])
def test_noise_alone_is_called_a_turn_less_than_five_times_in_a_hundred(shape: str, count: int) -> None:
    found = [turn(values.tolist(), "lower") for values in curves(count, shape, np.random.default_rng(count))]
    assert sum(one is not None for one in found) / DRAWS < 0.05


def test_modes_that_are_missed_by_chance_are_not_called_lost() -> None:
    """Each of 25 modes is missed one time in 25, so two fewer at both of the last points is rare."""
    counts = np.random.default_rng(0).binomial(25, 0.96, (DRAWS, 6)).astype(float)
    assert np.mean([turn(values.tolist(), "higher", 0.25) is not None for values in counts]) < 0.05
    assert turn([25, 25, 25, 24, 24, 24], "higher", 0.25) is None
    assert turn([25, 25, 25, 23, 23, 23], "higher", 0.25) == Turn(0, 3)


def test_a_collapse_half_way_is_seen_at_its_place_whichever_way_is_better() -> None:
    draw = np.random.default_rng(1)
    places = []
    for _ in range(DRAWS):
        level = np.array([30, 15, 8, 5, 4, 3, 3, 40, 40, 40, 40, 40])
        values = (level + draw.standard_normal(12) * 0.3).tolist()
        found = turn(values, "lower")
        assert found is not None
        assert found.best == min(range(12), key=values.__getitem__)
        assert turn([-value for value in values], "higher") == found
        places.append(found.since)
    assert max(places) == 7
    assert np.mean(np.equal(places, 7)) > 0.95


def test_a_curve_that_came_back_did_not_turn_nor_one_that_is_worse_at_its_last_point_alone() -> None:
    assert turn([9, 3, 3.1, 90, 80, 3.2], "lower") is None
    assert turn([9, 3, 3.1, 3, 3.2, 90], "lower") is None
    assert turn([9, 3, 3.1, 3, 3.2, 90, 80], "lower") == Turn(1, 5)
    assert turn([3, 90, 90], "lower") is None  # too few points
    assert turn([3, 3.5, 90, 91], "lower") == Turn(0, 2)
    assert turn([9, 3, 3.1, 40, 39, 41], "lower") == turn([900, 3, 3.1, 40, 39, 41], "lower") == Turn(1, 3)


def test_the_error_of_an_evaluation_is_noise_too() -> None:
    values = [5.0, 4.0, 4.0, 4.0, 4.9, 4.9]  # worse by 0.9
    assert turn(values, "lower") == turn(values, "lower", math.nan) == Turn(1, 4)
    assert turn(values, "lower", 0.2) == Turn(1, 4)
    assert turn(values, "lower", 0.23) is None


def test_a_long_descent_at_the_start_is_no_noise() -> None:
    # Left of the descent is its last step: of 76, 276, 5 and 7, without the largest, the lower median is 7.
    values = [700.0, 500.0, 300.0, 100.0, 24.0, 300.0, 305.0, 298.0]
    assert turn(values, "lower") == Turn(best=4, since=5)
    edge = 24 + (4 + 14 / 5) * 7
    assert turn([*values[:5], edge + 1, edge + 6, edge - 1], "lower") is None
