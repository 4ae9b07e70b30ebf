"""The floor of the Fréchet distance from subsets of the training data, and the error of held-out items from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench.metrics import METRICS, Evidence, ReferenceStatistics, frechet_floor
from genbench.metrics.frechet_floor import floor_of, held_out_standard_error
from genbench.metrics.gaussian import GaussianStatistics


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def distance(one: np.ndarray, other: np.ndarray) -> float:
    covariances = [np.cov(side, rowvar=False) for side in (one, other)]
    roots = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real)
    shift = one.mean(axis=0) - other.mean(axis=0)
    return float(shift @ shift + np.trace(covariances[0] + covariances[1]) - 2 * roots.sum())


@pytest.mark.parametrize(("training", "count", "size"), [(60, 10, 10), (61, 50, 30)])
def test_it_is_that_of_32_subsets_against_the_rest(training: int, count: int, size: int) -> None:
    """Of so many items as are expected, but at most half; scaled to that count by 1/m + 1/r."""
    data = normal(training, 3)
    draw = torch.Generator().manual_seed(0)
    subsets = [torch.randperm(training, generator=draw)[:size].numpy() for _ in range(32)]
    rows = data.numpy()
    distances = np.array([distance(rows[subset], np.delete(rows, subset, axis=0)) for subset in subsets])
    unit, logs = 1 / (1 / size + 1 / (training - size)), np.log(distances)
    highest = math.exp(logs.mean() + 3.5 * logs.std(ddof=1))
    expected = [unit / count * distances.mean(), logs.std(ddof=1), unit * (1 / count + 1 / training) * highest]
    found = floor_of(data, GaussianStatistics.from_features(data), count)
    assert found.tolist() == pytest.approx(expected, rel=1e-10)  # float32 would round the distances


@pytest.mark.parametrize(("training", "by_subsets"), [(3, False), (4, True), (5, True)])
def test_four_items_have_subsets_with_a_spread(training: int, by_subsets: bool) -> None:
    evidence = Evidence(normal(6, 1), normal(training, 1, seed=1), samples_held_out=True)
    assert (held_out_standard_error(evidence, 0.125) != 0.125) == by_subsets


@pytest.mark.parametrize("jackknife", [0.1, 5.0])
def test_up_to_the_limit_the_error_is_a_share_of_the_distance_and_beyond_it_the_jackknife_adds_what_it_finds(
    jackknife: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = Evidence(normal(30, 3), normal(50, 3, seed=1), samples_held_out=True)
    found = METRICS["frechet_distance"].compute(evidence)["fd"]
    seen = []
    for limit in (found, found * 0.999):
        parts = torch.tensor([3.0, 0.2, limit], dtype=torch.float64)
        monkeypatch.setattr(frechet_floor, "floor_of", lambda *given, parts=parts: parts)
        fresh = Evidence(evidence.samples, evidence.reference, samples_held_out=True)
        seen.append(held_out_standard_error(fresh, jackknife))
    variance = (0.2 * 3.0) ** 2
    assert seen == pytest.approx([0.2 * found, math.sqrt(variance + max(0.0, jackknife**2 - 2 * variance))])


def test_each_count_has_a_floor_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    known = ReferenceStatistics(normal(50, 3, seed=1))
    asked: list[int] = []

    def noted(training: Tensor, total: GaussianStatistics, count: int) -> Tensor:
        assert training is known.features
        assert total is known.gaussian
        asked.append(count)
        return floor_of(training, total, count)

    monkeypatch.setattr(frechet_floor, "floor_of", noted)
    for count in (30, 20, 30):
        held_out_standard_error(Evidence(normal(count, 3), known.features, statistics=known), 0.1)
    assert asked == [30, 20]
