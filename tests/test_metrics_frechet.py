"""The Fréchet distance: closed forms, the definition, hostile statistics, streaming, and the extrapolation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genbench.metrics import METRICS, Evidence, NotMeasurable, frechet
from genbench.metrics.fid_infinity import frechet_infinity
from genbench.metrics.frechet import congruence, frechet_distance, root_product_trace
from genbench.metrics.gaussian import GaussianStatistics, rank_tolerance
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


def test_a_congruence_by_blocks_is_the_product_s_lower_triangle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet, "_BLOCK", 3)
    lower, matrix = normal(8, 8).double().tril(), random_covariance(8, seed=1, decay=1.0)
    torch.testing.assert_close(congruence(lower, matrix).tril(), (lower.T @ matrix @ lower).tril())


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


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_the_singular_value_path_replaces_eigenvalues_that_lost_their_digits(scale: float) -> None:
    """A covariance of rank 9 in 256 dimensions gives 247 eigenvalues that are only rounding, and their roots add up."""
    features, reference = normal(10, 256, seed=8) * scale, normal(1000, 256, seed=9) * scale
    few, many = GaussianStatistics.from_features(features), GaussianStatistics.from_features(reference)
    dense = GaussianStatistics(few.mean, few.covariance, few.count)  # like merged moments: without a factor
    assert many.cholesky is not None
    product = many.cholesky.T @ dense.covariance @ many.cholesky
    lossy = float(torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum())
    exact = root_product_trace(few, many)
    assert abs(lossy - exact) > 1e-8 * exact
    assert root_product_trace(dense, many) == pytest.approx(exact, rel=1e-9)


def test_how_far_rounding_moves_the_sum_of_the_roots() -> None:
    eps = 2.0**-52
    assert frechet._rounding(torch.tensor([1.0, 0.0], dtype=torch.float64)) == pytest.approx(
        math.sqrt(8 * eps), rel=1e-6
    )
    spread = torch.tensor([4.0, 64 * eps], dtype=torch.float64)
    assert frechet._rounding(spread) == pytest.approx(math.sqrt(96 * eps) - math.sqrt(64 * eps), rel=1e-6)


def test_singular_values_are_found_only_where_eigenvalues_would_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Singular values cost several times as much."""
    called: list[str] = []
    for name in ("svdvals", "eigvalsh"):
        original = getattr(torch.linalg, name)

        def counting(*given: Tensor, name: str = name, original=original, **options: str) -> Tensor:
            called.append(name)
            return original(*given, **options)

        monkeypatch.setattr(torch.linalg, name, counting)
    dense, other, few = (GaussianStatistics.from_features(normal(count, 8, seed=count)) for count in (300, 301, 5))
    both = ((dense, other), ["eigvalsh"]), ((other, dense), ["eigvalsh"])
    for pair, expected in (*both, ((few, dense), ["svdvals"]), ((dense, few), ["svdvals"])):
        called.clear()
        root_product_trace(*pair)
        assert called == expected


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


def test_the_eigenvalues_of_few_features_are_the_largest_of_the_covariance_ascending() -> None:
    few = GaussianStatistics.from_features(normal(4, 6, seed=12))
    expected = torch.linalg.eigvalsh(few.covariance)[2:].clamp(min=0)
    torch.testing.assert_close(few.eigenvalues, expected, rtol=1e-9, atol=1e-12)


def test_an_eigenvalue_is_told_from_zero_above_the_rounding_of_the_largest() -> None:
    eps = 2.0**-52
    assert rank_tolerance(torch.tensor([1.0, 4.0], dtype=torch.float64)) == 2 * eps * 4
    assert rank_tolerance(torch.tensor([1.0, 4.0], dtype=torch.float64), 10) == 10 * eps * 4
    assert rank_tolerance(torch.tensor([-2.0, -1.0])) == rank_tolerance(torch.zeros(0)) == 0.0
    spread = torch.tensor([1.0, 0.5, 2.5 * eps, 3.5 * eps], dtype=torch.float64)  # above and below 3 eps, 4 eps
    found = GaussianStatistics(torch.zeros(4), spread.diag(), 9)
    assert (found.rank, found.condition) == (2, 2.0)
    found = GaussianStatistics(torch.zeros(3), spread[[0, 1, 3]].diag(), 9)
    assert (found.rank, found.condition) == (3, pytest.approx(1 / (3.5 * eps)))
    assert GaussianStatistics.from_features(torch.ones(5, 3)).condition == 1.0
    assert GaussianStatistics.from_features(torch.ones(2, 3)).condition == 1.0


@pytest.mark.parametrize(("count", "rank", "fewer"), [(40, 6, 0.0), (6, 5, 0.0), (5, 4, 1.0)])
def test_the_table_s_diagnostics_are_of_the_samples(count: int, rank: int, fewer: float) -> None:
    samples = normal(count, 6, seed=13).double()
    found = METRICS["frechet_diagnostics"].compute(Evidence(samples=samples, reference=normal(9, 6)))
    spread = np.linalg.svd(samples.numpy() - samples.numpy().mean(axis=0), compute_uv=False)[:rank] ** 2
    expected = {"feature_rank": rank, "feature_condition": spread[0] / spread[-1], "fewer_than_dimensions": fewer}
    assert found == pytest.approx(expected, rel=1e-6)


def test_features_of_a_fit_stay_as_they_are_and_few_stand_for_the_covariance() -> None:
    features = normal(6, 6).double() + 3
    before = features.clone()
    assert GaussianStatistics.from_features(features).low_rank
    assert not GaussianStatistics.from_features(torch.cat([features, features[:1]])).low_rank
    assert torch.equal(features, before)


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


def test_two_features_have_moments_and_one_has_none() -> None:
    moments = FeatureMoments(2)
    assert not moments.state_dict()  # none of its state is saved to a file
    moments.update(torch.tensor([[0.0, 1.0]]))
    with pytest.raises(ValueError, match="feature moments: a covariance needs at least 2 features, got 1"):
        moments.compute()
    moments.update(torch.tensor([[2.0, 3.0]]))
    assert moments.compute().covariance.tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_moments_of_two_processes_merge_by_adding() -> None:
    """torchmetrics gathers each state from every process and reduces it; here, gathering returns a list of both."""
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
    torch.testing.assert_close(near.compute().mean, whole.mean)
    torch.testing.assert_close(near.compute().covariance, whole.covariance, rtol=1e-9, atol=1e-9)
    assert (far.compute().covariance - whole.covariance).abs().max() > 1e-4


def test_taking_rows_away_equals_leaving_them_out() -> None:
    for count, dimension in ((60, 5), (12, 8), (10, 20)):  # well above, dropping below, and below the dimension
        features = normal(count, dimension, seed=16) + 5
        removed = torch.tensor([0, 3, 4, count - 1])
        kept = torch.ones(count, dtype=torch.bool)
        kept[removed] = False
        less = GaussianStatistics.from_features(features).without(features, removed)
        fresh = GaussianStatistics.from_features(features[kept])
        assert (less.count, less.low_rank) == (count - 4, fresh.low_rank)
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
        (
            lambda: GaussianStatistics.from_features(torch.tensor([[1.0, math.nan], [0, 0]])),
            "^features: 1 of 2 rows contain NaN",
        ),
        (
            lambda: GaussianStatistics.from_features(torch.tensor([[1.0, math.inf], [0, 0]])),
            "^features: 1 of 2 rows contain NaN",
        ),
        (
            lambda: GaussianStatistics.from_features(torch.zeros(4, 3, dtype=torch.uint8)),
            "^features: expected floating-point",
        ),
        (lambda: GaussianStatistics.from_features(torch.zeros(4)), r"shape \(N, d\), got torch.float32 \(4,\)"),
        (lambda: GaussianStatistics(torch.zeros(2), None, 5), "a covariance or a factor"),
        (
            lambda: GaussianStatistics(torch.zeros(2), torch.eye(3), 5),
            "^covariance: expected 2 features per image, got 3",
        ),
        (lambda: GaussianStatistics(torch.zeros(2), None, 5, torch.eye(3)), "^factor: expected 2 features per image"),
        (lambda: GaussianStatistics(torch.tensor([0, math.nan]), torch.eye(2), 5), "^mean: 1 of 1 rows contain NaN"),
        (lambda: distance(normal(9, 3), normal(9, 4)), "samples have 3 features per image, the reference 4"),
        (lambda: FeatureMoments(3).update(torch.zeros(2, 4)), "^features: expected 3 features per image, got 4"),
    ],
)
def test_faulty_features_are_refused_in_one_line(make, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_the_extrapolation_removes_the_bias_of_a_small_sample() -> None:
    """The truth is d (1.1 − 1)² = 0.32; the plain distance of 1,000 samples is four times that."""
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


def test_the_extrapolation_is_the_line_through_subsets_of_evenly_spaced_sizes() -> None:
    samples, reference = normal(101, 4), GaussianStatistics.from_features(normal(300, 4, seed=1))
    for options, sizes in (
        ({}, np.linspace(50, 101, 15)),
        ({"sizes": 4, "smallest_share": 0.25, "seed": 2}, np.linspace(25, 101, 4)),
    ):
        draw = torch.Generator().manual_seed(options.get("seed", 0))
        counts = [round(size) for size in sizes]
        drawn = [samples[torch.randperm(101, generator=draw)[:n]] for n in counts]
        found = [frechet_distance(GaussianStatistics.from_features(subset), reference) for subset in drawn]
        expected = np.polyfit(1 / np.array(counts), found, 1)[1]
        assert frechet_infinity(samples, reference, **options) == pytest.approx(expected, rel=1e-9)
        total = GaussianStatistics.from_features(samples)
        assert frechet_infinity(samples, reference, total=total, **options) == pytest.approx(expected, rel=1e-9)


def test_the_table_s_extrapolation_is_seeded_by_the_evidence() -> None:
    evidence = Evidence(samples=normal(60, 3), reference=normal(70, 3, seed=1), seed=5)
    expected = frechet_infinity(evidence.samples, evidence.statistics.gaussian, seed=5)
    assert METRICS["frechet_infinity"].compute(evidence) == pytest.approx({"fd_infinity": expected}, rel=1e-9)


def test_the_extrapolation_is_repeatable_and_seeded() -> None:
    samples, reference = normal(200, 4), GaussianStatistics.from_features(normal(300, 4, seed=1))
    assert frechet_infinity(samples, reference, seed=1) == frechet_infinity(samples, reference, seed=1)
    assert frechet_infinity(samples, reference, seed=1) != frechet_infinity(samples, reference, seed=2)


def test_the_extrapolation_needs_samples_well_above_the_dimension() -> None:
    reference = GaussianStatistics.from_features(normal(300, 8))
    with pytest.raises(NotMeasurable, match="fd_infinity: needs at least 32 samples for 8 features, got 31"):
        frechet_infinity(normal(31, 8), reference)
    assert math.isfinite(frechet_infinity(normal(32, 8), reference))
