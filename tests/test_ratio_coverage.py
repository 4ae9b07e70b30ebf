"""The interval of `fd_ratio` with real distances, and the error of held-out items that it rests on."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import pytest
import ratio_coverage
import torch
from torch import Tensor

from genbench.metrics.evidence import Evidence
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.frechet_floor import floor_of, held_out_standard_error
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.reference import ReferenceStatistics
from genbench.metrics.resampling import frechet_standard_error
from genbench.metrics.standard_errors import standard_error

DIMENSION = 8


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(count: int, draw: torch.Generator, shift: float = 0.0) -> Tensor:
    return shift + ratio_coverage.normal(count, DIMENSION, draw)


@functools.cache
def worlds() -> list[ratio_coverage.World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratio_coverage, "TRAINING", 4000)
        return [ratio_coverage.world(ratio_coverage.normal, DIMENSION, 500, 150, seed) for seed in range(4)]


def share(wider: float, error: str = "subsets") -> float:
    kinds = itertools.product((3, 5), (0.0, 0.1))
    held = [list(ratio_coverage.covered(one, error, *kind, wider=wider)) for kind in kinds for one in worlds()]
    return float(np.mean(held))


def test_at_500_samples_it_covers_93_to_97_percent_and_would_not_if_it_were_30_percent_off() -> None:
    found = {wider: share(wider) for wider in (0.7, 1.0, 1.3)}
    assert 0.92 <= found[1.0] <= 0.98  # 93 to 97%, and the error of so many draws
    assert found[0.7] < 0.92
    assert found[1.3] > 0.98
    assert share(1.0, "jackknife") > 0.98  # why the subsets are needed


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_the_error_of_held_out_items_is_the_spread_of_repeated_draws_also_where_they_differ(shift: float) -> None:
    known = ReferenceStatistics(features(4000, seeded(1)))
    draws = [features(500, seeded(seed), shift) for seed in range(10, 310)]
    found = [Evidence(samples=x, reference=known.features, samples_held_out=True, statistics=known) for x in draws]
    spread = np.log([frechet_distance(one.sample_gaussian, known.gaussian) for one in found]).std()
    errors = [
        (standard_error("fd", one) or math.nan) / frechet_distance(one.sample_gaussian, known.gaussian) for one in found
    ]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("training", [4000, 700])  # of 700, the subsets of 500 are halves
def test_the_floor_is_the_mean_distance_of_new_items_from_infinitely_many(training: int) -> None:
    limit = GaussianStatistics(torch.zeros(DIMENSION), torch.diag(1 / torch.arange(1.0, DIMENSION + 1)), count=10**6)
    draws = [GaussianStatistics.from_features(features(500, seeded(seed))) for seed in range(10, 310)]
    distances = [frechet_distance(one, limit) for one in draws]
    found = [
        floor_of(data, GaussianStatistics.from_features(data), 500).tolist()
        for data in (features(training, seeded(seed)) for seed in range(400, 410))
    ]
    assert np.mean([floor for floor, _, _ in found]) == pytest.approx(np.mean(distances), rel=0.06)
    assert np.mean([spread for _, spread, _ in found]) == pytest.approx(np.log(distances).std(), rel=0.12)


def test_it_is_computed_once_for_all_that_have_the_same_count(monkeypatch: pytest.MonkeyPatch) -> None:
    known = ReferenceStatistics(features(600, seeded(1)))
    evidence = Evidence(samples=features(200, seeded(2)), reference=known.features, statistics=known)
    plain = frechet_standard_error(evidence.samples, known.gaussian)
    assert standard_error("fd", evidence) == plain  # samples of a model
    assert not any(name.startswith("frechet_floor") for name in known.tensors)
    found = held_out_standard_error(evidence, plain)
    again = ReferenceStatistics(known.features, tensors=known.tensors)
    monkeypatch.setattr("genbench.metrics.frechet_floor.floor_of", None)
    kept = Evidence(samples=evidence.samples, reference=known.features, samples_held_out=True, statistics=again)
    assert standard_error("fd", kept) == found != plain


def test_without_training_features_the_jackknife_stays() -> None:
    few = features(3, seeded(1))
    evidence = Evidence(samples=features(200, seeded(2)), reference=few, samples_held_out=True)
    assert held_out_standard_error(evidence, 0.25) == 0.25
