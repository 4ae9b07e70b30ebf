"""The Fréchet distance: closed forms, the definition, hostile statistics, streaming, and the extrapolation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genbench.metrics import NotMeasurable
from genbench.metrics.fid_infinity import frechet_infinity
from genbench.metrics.frechet import frechet_distance, root_product_trace
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.moments import FeatureMoments


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def statistics(mean: Tensor, covariance: Tensor) -> GaussianStatistics:
    return GaussianStatistics(mean, covariance, count=1000)


def random_covariance(dimension: int, seed: int, decay: float = 0.0) -> Tensor:
    basis, _ = torch.linalg.qr(normal(dimension, dimension, seed=seed).double())
    spread = torch.arange(1, dimension + 1, dtype=torch.float64) ** -decay
    return basis * spread @ basis.T


def distance(samples: Tensor, reference: Tensor) -> float:
    return frechet_distance(GaussianStatistics.from_features(samples), GaussianStatistics.from_features(reference))


def definition(samples: Tensor, reference: Tensor) -> float:
    """|Δμ|² + tr Σ₁ + tr Σ₂ − 2 |Σ₁^½ Σ₂^½|_*, with symmetric roots from the features' singular values, in NumPy."""

    def parts(features: Tensor) -> tuple[np.ndarray, np.ndarray]:
        values = features.double().numpy()
        centred = (values - values.mean(axis=0)) / math.sqrt(len(values) - 1)
        _, singular, right = np.linalg.svd(centred, full_matrices=False)
        return values.mean(axis=0), (right.T * singular) @ right

    (mean_a, root_a), (mean_b, root_b) = parts(samples), parts(reference)
    nuclear = np.linalg.svd(root_a @ root_b, compute_uv=False).sum()
    return float(((mean_a - mean_b) ** 2).sum() + (root_a**2).sum() + (root_b**2).sum() - 2 * nuclear)


@pytest.mark.parametrize("decay", [0.0, 1.0, 4.0])
def test_equal_covariances_leave_the_distance_of_the_means(decay: float) -> None:
    covariance = random_covariance(12, seed=1, decay=decay)
    shift = normal(12, seed=2).double()
    found = frechet_distance(statistics(shift, covariance), statistics(torch.zeros(12), covariance))
    assert found == pytest.approx(float(shift.square().sum()), rel=1e-10)


@pytest.mark.parametrize(("a", "b", "dimension"), [(1.0, 2.0, 3), (0.5, 0.1, 64), (3.0, 3.0, 7)])
def test_isotropic_gaussians(a: float, b: float, dimension: int) -> None:
    shift = normal(dimension).double()
    unit = torch.eye(dimension, dtype=torch.float64)
    found = frechet_distance(statistics(shift, a**2 * unit), statistics(torch.zeros(dimension), b**2 * unit))
    assert found == pytest.approx(float(shift.square().sum()) + dimension * (a - b) ** 2, rel=1e-10)


def test_covariances_that_do_not_commute() -> None:
    first = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    second = torch.tensor([[4.0, -1.0], [-1.0, 1.0]])
    found = frechet_distance(statistics(torch.zeros(2), first), statistics(torch.zeros(2), second))
    assert found == pytest.approx(1.815632781353262, abs=1e-12)


@pytest.mark.parametrize("dimension", [2, 16, 256])
@pytest.mark.parametrize("count", [2, 3, 15, 16, 17, 255, 257, 4096, 2**15])
def test_agrees_with_the_definition_at_any_count_and_dimension(count: int, dimension: int) -> None:
    decay = torch.arange(1, dimension + 1) ** -1.5
    samples = normal(count, dimension, seed=3) * decay
    reference = normal(max(2, count // 2), dimension, seed=4) + 0.01
    assert distance(samples, reference) == pytest.approx(definition(samples, reference), rel=1e-5)


def test_agrees_with_the_definition_beyond_one_block_of_columns() -> None:
    samples, reference = normal(1000, 530, seed=3) * torch.linspace(0.1, 1, 530), normal(900, 530, seed=4)
    assert distance(samples, reference) == pytest.approx(definition(samples, reference), rel=1e-9)


@pytest.mark.parametrize("dimension", [2, 16, 256])
@pytest.mark.parametrize("count", [2, 17, 300])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_identical_samples_are_at_zero(count: int, dimension: int, offset: float) -> None:
    features = normal(count, dimension) + offset
    found = GaussianStatistics.from_features(features)
    copy = GaussianStatistics.from_features(features.flip(0))
    assert frechet_distance(found, copy) <= 1e-8 * found.trace


@pytest.mark.parametrize("dense", [False, True])
def test_a_collapsed_sample_has_a_distance(dense: bool) -> None:
    direction, reference = normal(1, 32, seed=5), normal(500, 32, seed=6)
    line = normal(20, 1, seed=7) * direction  # rank 1
    point = direction.expand(20, 32)  # rank 0
    for collapsed, rank in ((line, 1), (point, 0)):
        found = GaussianStatistics.from_features(collapsed)
        if dense:
            found = GaussianStatistics(found.mean, found.covariance, found.count)
        target = GaussianStatistics.from_features(reference)
        assert found.rank == rank
        assert frechet_distance(found, target) == pytest.approx(definition(collapsed, reference), rel=1e-6)
        assert frechet_distance(target, found) == pytest.approx(definition(collapsed, reference), rel=1e-6)


def test_the_singular_value_path_replaces_eigenvalues_that_lost_their_digits() -> None:
    """A covariance of rank 9 in 256 dimensions gives 247 eigenvalues that are rounding, and their roots add up."""
    features, reference = normal(10, 256, seed=8), normal(1000, 256, seed=9)
    few, many = GaussianStatistics.from_features(features), GaussianStatistics.from_features(reference)
    dense = GaussianStatistics(few.mean, few.covariance, few.count)  # as merged moments are: no factor to fall back on
    assert many.cholesky is not None
    product = many.cholesky.T @ dense.covariance @ many.cholesky
    lossy = float(torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum())
    exact = root_product_trace(few, many)
    assert abs(lossy - exact) > 1e-8 * exact
    assert root_product_trace(dense, many) == pytest.approx(exact, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(2, 40),
    dimension=st.integers(1, 30),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_is_a_distance_whatever_the_features(count: int, dimension: int, scale: float, seed: int) -> None:
    samples = normal(count, dimension, seed=seed) * scale
    reference = normal(25, dimension, seed=seed + 1) * scale
    found = distance(samples, reference)
    assert math.isfinite(found)
    assert found >= 0
    assert distance(reference, samples) == pytest.approx(found, rel=1e-6)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    assert distance(samples[order], reference) == pytest.approx(found, rel=1e-6)


def test_grows_with_the_distortion() -> None:
    reference = normal(400, 8, seed=9)
    found = [distance(reference + level * normal(400, 8, seed=10), reference) for level in (0.0, 0.5, 1.0, 2.0)]
    assert found == sorted(found)
    assert found[0] < 1e-10 < found[1]


def test_diagnostics_tell_rank_condition_and_too_few_samples() -> None:
    features = normal(300, 6, seed=11).double() * torch.tensor([10.0, 1, 1, 1, 1, 0])
    full = GaussianStatistics.from_features(features)
    assert (full.rank, full.dimension, full.low_rank) == (5, 6, False)
    assert full.condition == pytest.approx(100, rel=0.3)
    few = GaussianStatistics.from_features(normal(4, 6, seed=12))
    assert (few.rank, few.low_rank) == (3, True)


@pytest.mark.parametrize("parts", [1, 3, 50])
def test_streamed_moments_equal_those_of_the_whole(parts: int) -> None:
    features = normal(200, 5, seed=13) + 3
    moments = FeatureMoments(5)
    for batch in features.tensor_split(parts):
        moments.update(batch)
    whole = GaussianStatistics.from_features(features)
    assert moments.compute().count == 200
    torch.testing.assert_close(moments.compute().mean, whole.mean)
    torch.testing.assert_close(moments.compute().covariance, whole.covariance)


def test_moments_of_two_processes_merge_by_adding() -> None:
    """torchmetrics gathers each state from every process and reduces it; here the gathering is a list of both."""
    features = normal(90, 4, seed=14)
    other = FeatureMoments(4)
    other.update(features[:30])
    here = FeatureMoments(4)
    here.update(features[30:])
    theirs = iter([other.total, other.outer, other.count])
    here.dist_sync_fn = lambda state, group: [state, next(theirs)]
    here.distributed_available_fn = lambda: True
    merged = here.compute()
    assert merged.count == 90
    torch.testing.assert_close(merged.covariance, GaussianStatistics.from_features(features).covariance)


def test_an_origin_keeps_the_digits_of_features_far_from_zero() -> None:
    features = (normal(500, 3, seed=15).double() + 1e7).double()
    whole = GaussianStatistics.from_features(features)
    near, far = FeatureMoments(3, origin=features[0]), FeatureMoments(3)
    near.update(features)
    far.update(features)
    torch.testing.assert_close(near.compute().covariance, whole.covariance, rtol=1e-9, atol=1e-9)
    assert (far.compute().covariance - whole.covariance).abs().max() > 1e-4


def test_taking_rows_away_equals_leaving_them_out() -> None:
    for count, dimension in ((60, 5), (12, 8), (10, 20)):  # well above, falling below, and below the dimension
        features = normal(count, dimension, seed=16) + 5
        removed = torch.tensor([0, 3, 4, count - 1])
        kept = torch.ones(count, dtype=torch.bool)
        kept[removed] = False
        less = GaussianStatistics.from_features(features).without(features, removed)
        fresh = GaussianStatistics.from_features(features[kept])
        assert less.count == count - 4
        torch.testing.assert_close(less.mean, fresh.mean)
        torch.testing.assert_close(less.covariance, fresh.covariance)


@pytest.mark.parametrize(("count", "dimension"), [(100, 4), (4, 10)])
def test_statistics_survive_a_file(count: int, dimension: int) -> None:
    before = GaussianStatistics.from_features(normal(count, dimension))
    after = GaussianStatistics.from_tensors(before.tensors())
    assert (after.count, after.low_rank) == (before.count, before.low_rank)
    torch.testing.assert_close(after.covariance, before.covariance, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianStatistics.from_features(torch.zeros(1, 3)), "needs at least 2 features, got 1"),
        (lambda: GaussianStatistics.from_features(torch.tensor([[1.0, math.nan], [0, 0]])), "1 of 2 rows hold NaN"),
        (lambda: GaussianStatistics.from_features(torch.tensor([[1.0, math.inf], [0, 0]])), "1 of 2 rows hold NaN"),
        (lambda: GaussianStatistics.from_features(torch.zeros(4, 3, dtype=torch.uint8)), "expected floating-point"),
        (lambda: GaussianStatistics.from_features(torch.zeros(4)), r"shape \(N, d\), got torch.float32 \(4,\)"),
        (lambda: GaussianStatistics(torch.zeros(2), None, 5), "a covariance or a factor"),
        (lambda: distance(normal(9, 3), normal(9, 4)), "samples have 3 features an image, the reference 4"),
        (lambda: FeatureMoments(3).update(torch.zeros(2, 4)), "expected 3 features an image, got 4"),
    ],
)
def test_faulty_features_are_refused_in_one_line(make, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_the_extrapolation_removes_the_bias_of_a_small_sample() -> None:
    """The truth is d (1.1 − 1)² = 0.32; 1,000 samples find four times that."""
    dimension = 32
    reference = statistics(torch.zeros(dimension), torch.eye(dimension))
    truth = dimension * 0.1**2
    plain, extrapolated = [], []
    for seed in range(8):
        samples = 1.1 * normal(1000, dimension, seed=seed)
        plain.append(frechet_distance(GaussianStatistics.from_features(samples), reference))
        extrapolated.append(frechet_infinity(samples, reference, seed=seed))
    assert np.mean(plain) > 1.8 * truth
    assert np.mean(extrapolated) == pytest.approx(truth, rel=0.15)


def test_the_extrapolation_is_repeatable_and_seeded() -> None:
    samples, reference = normal(200, 4), GaussianStatistics.from_features(normal(300, 4, seed=1))
    assert frechet_infinity(samples, reference, seed=1) == frechet_infinity(samples, reference, seed=1)
    assert frechet_infinity(samples, reference, seed=1) != frechet_infinity(samples, reference, seed=2)


def test_the_extrapolation_needs_samples_well_above_the_dimension() -> None:
    reference = GaussianStatistics.from_features(normal(300, 8))
    with pytest.raises(NotMeasurable, match="fd_infinity: needs at least 32 samples for 8 features, got 31"):
        frechet_infinity(normal(31, 8), reference)
    assert math.isfinite(frechet_infinity(normal(32, 8), reference))
