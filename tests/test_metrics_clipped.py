"""Clipped density and coverage: their definitions, what they promise, and how they handle outliers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from genbench.metrics import METRICS, Evidence, ReferenceStatistics, neighbours
from genbench.metrics.clipped import clipped_coverage, clipped_density, expected_clipped_coverage
from genbench.metrics.standard_errors import standard_error


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def numbers(samples: Tensor, reference: Tensor) -> dict[str, float]:
    return METRICS["clipped_density_coverage"].compute(Evidence(samples, reference))


@pytest.mark.parametrize("filtered_from", [0, neighbours.FILTERED_FROM])
@pytest.mark.parametrize(("count", "shift", "copies"), [(9, 0.3, 1), (30, 0.8, 1), (14, 0.0, 1), (30, 0.2, 7)])
def test_they_are_those_of_their_definitions_at_unequal_counts(
    count: int, shift: float, copies: int, filtered_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By plain loops, with 14 data points, of which one may occur more than k times, and with float32 products too."""
    monkeypatch.setattr(neighbours, "FILTERED_FROM", filtered_from)
    samples, reference = normal(count, 3).double().numpy() + shift, normal(14, 3, seed=1).double().numpy()
    reference[3 : 3 + copies] = reference[3]
    apart = np.linalg.norm(samples[:, None] - reference, axis=2)
    among = np.linalg.norm(reference[:, None] - reference, axis=2)
    radii = np.sort(among, axis=1)[:, 5]  # the first is the point itself
    clipped = np.minimum(radii, np.median(radii))
    of_samples = [sum(row[j] <= clipped[j] for j in range(14)) for row in apart]
    of_data = [sum(among[i, j] <= clipped[j] for j in range(14) if j != i) for i in range(14)]
    density = np.mean(np.minimum(of_samples, 5)) / np.mean(np.minimum(of_data, 5))
    held = [sum(apart[i, j] < radii[j] for i in range(count)) for j in range(14)]
    covered = np.mean(np.minimum(held, 5)) / 5
    good = [stats.betabinom(m, 5, 9).expect(lambda j: np.minimum(j, 5)) / 5 for m in range(count + 1)]
    found = numbers(torch.tensor(samples), torch.tensor(reference))
    assert found["clipped_density"] == pytest.approx(min(1, density), rel=1e-12)
    assert found["clipped_coverage"] == pytest.approx(np.sum(np.array(good) < covered) / (count + 1), rel=1e-12)


@pytest.mark.parametrize(("samples", "reference", "k"), [(40, 30, 5), (3, 6, 5), (50, 9, 1)])
def test_what_good_samples_cover_is_beta_binomial(samples: int, reference: int, k: int) -> None:
    good = [
        stats.betabinom(m, k, reference - k).expect(lambda j: np.minimum(j, k)) / k if m else 0.0
        for m in range(samples + 1)
    ]
    assert expected_clipped_coverage(samples, reference, k).tolist() == pytest.approx(good, abs=1e-12)


def test_the_expectation_keeps_its_digits_at_large_counts() -> None:
    found = expected_clipped_coverage(20_000, 50_000)
    assert bool((found.diff() > 0).all())
    assert float(found[1]) == pytest.approx(1 / 50_000, rel=1e-9)  # 5 of 50,000 gaps, over k


def test_coverage_counts_the_samples_that_would_cover_as_much() -> None:
    expected = expected_clipped_coverage(10, 40)
    held = torch.zeros(40, dtype=torch.int64)
    assert clipped_coverage(held, 10) == 0
    held[:4] = 5  # a tenth: between the expectations of 0 and of 10 samples
    between = int((expected < 0.1).sum())
    assert 0 < between < 11
    assert clipped_coverage(held, 10) == between / 11
    assert clipped_coverage(held + 100, 10) == 1


def test_both_count_up_to_the_k_that_is_asked_for() -> None:
    """With k = 1, m samples of the data's distribution cover m/(m + N − 1): less than a half where m is below 5."""
    density = clipped_density(torch.tensor([1, 0, 3]), torch.tensor([4, 2, 1]), k=2)
    assert density == pytest.approx(np.mean([0.5, 0, 1]) / np.mean([1, 1, 0.5]))
    assert clipped_coverage(torch.tensor([3, 1, 2, 0, 0, 0]), 9, k=1) == 5 / 10


def test_samples_of_the_data_s_distribution_score_one_and_a_bad_part_is_taken_off() -> None:
    reference = normal(800, 4, seed=1)
    for bad in (0, 240, 480):
        samples = normal(800, 4)
        samples[:bad] += 100
        found = numbers(samples, reference)
        assert found == pytest.approx(dict.fromkeys(found, 1 - bad / 800), abs=0.06)


def test_a_dropped_mode_costs_coverage_and_copies_of_one_sample_gain_no_density() -> None:
    centres = torch.tensor([[0.0, 0.0], [50.0, 0.0]])
    reference = normal(600, 2, seed=1) + centres[torch.arange(600) % 2]
    dropped = numbers(normal(600, 2) + centres[0], reference)
    assert dropped["clipped_density"] > 0.95
    assert dropped["clipped_coverage"] < 0.6
    balls = ReferenceStatistics(reference).clipped_balls
    deepest = reference[balls.argmax()].expand(600, 2)
    repeated = numbers(deepest, reference)
    assert repeated["clipped_density"] == 1
    assert repeated["clipped_coverage"] < 0.05
    assert METRICS["density_coverage"].compute(Evidence(deepest, reference))["density"] > 1


def test_an_outlier_of_the_data_makes_no_samples_good() -> None:
    """Its ball contains everything between it and the data; clipped, it contains nothing there."""
    reference = torch.cat([normal(100, 2, seed=1), torch.tensor([[1000.0, 0.0]])])
    between = torch.tensor([[500.0, 0.0]]).expand(60, 2)
    assert numbers(between, reference)["clipped_density"] == 0
    assert METRICS["density_coverage"].compute(Evidence(between, reference))["density"] > 0


def test_data_that_are_all_alike_are_met_by_nothing_but_themselves() -> None:
    alike = torch.ones(20, 3)
    assert numbers(torch.ones(9, 3), alike) == {"clipped_density": 1, "clipped_coverage": 0}
    assert numbers(normal(9, 3), alike) == {"clipped_density": 0, "clipped_coverage": 0}


def test_at_its_bound_the_density_has_no_error() -> None:
    alike = Evidence(torch.ones(120, 3), torch.ones(20, 3))
    assert METRICS["clipped_density_coverage"].compute(alike)["clipped_density"] == 1
    assert standard_error("clipped_density", alike) is None


def test_the_stated_error_is_the_deviation_between_draws() -> None:
    reference = normal(300, 3, seed=1)
    kept = ReferenceStatistics(reference)
    found = []
    for seed in range(40):
        evidence = Evidence(normal(200, 3, seed=100 + seed) * 1.4, reference, statistics=kept)
        value = METRICS["clipped_density_coverage"].compute(evidence)["clipped_density"]
        assert value < 1
        found.append((value, standard_error("clipped_density", evidence) or 0.0))
        assert standard_error("clipped_coverage", evidence) is None
    values, errors = np.array(found).T
    assert errors.mean() / values.std(ddof=1) == pytest.approx(1, abs=0.25)
