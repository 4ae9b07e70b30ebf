"""Details of the newer metrics that their own tests do not reach: found by `make mutants`."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from genbench.metrics import METRICS, bleu, c2st, fld, mauve, pitch, rbf
from genbench.metrics.buckets import fit_buckets, projected
from genbench.metrics.c2st import logistic_regression, two_sample_area
from genbench.metrics.constants import MIND_PROJECTIONS
from genbench.metrics.evidence import Evidence
from genbench.metrics.kad import kernel_audio_distance
from genbench.metrics.mind import transport
from genbench.metrics.rbf import RbfSums, rbf_rows
from genbench.metrics.si_sdr import si_sdr
from genbench.metrics.sound_gaps import clipping, loudness_shares


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# The classifier two-sample test


def correlated(count: int, seed: int) -> Tensor:
    mixing = torch.tensor([[1.0, 0.9, 0.0], [0.0, 0.3, 0.5], [0.0, 0.0, 1.0]], dtype=torch.float64)
    return normal(count, 3, seed=seed) @ mixing


def test_the_area_does_not_depend_on_the_units_of_the_features() -> None:
    samples, reference = correlated(120, 0) + torch.tensor([0.5, 0.0, -0.3]), correlated(120, 1)
    units = torch.tensor([1e-12, 1.0, 1e9], dtype=torch.float64)
    found = two_sample_area(samples, reference)
    assert two_sample_area(samples * units, reference * units).area == pytest.approx(found.area, abs=1e-9)
    assert 0.6 < found.area < 0.95


@pytest.mark.parametrize("value", [0.0, 5.0, -1e6])
def test_a_constant_feature_changes_nothing(value: float) -> None:
    samples, reference = correlated(120, 0) + 0.5, correlated(120, 1)
    constant = torch.full((120, 1), value, dtype=torch.float64)
    with_it = [torch.cat([side, constant], 1) for side in (samples, reference)]
    assert two_sample_area(*with_it).area == pytest.approx(two_sample_area(samples, reference).area, abs=1e-9)


@pytest.mark.parametrize(("seed", "count", "width", "penalty"), [(46, 29, 2, 1e-3), (108, 31, 1, 1e-3)])
def test_newtons_step_is_halved_where_it_goes_too_far(seed: int, count: int, width: int, penalty: float) -> None:
    """Far outliers: the whole step raises the loss 3 and 15 times. Compared with BFGS."""
    generator = torch.Generator().manual_seed(seed)
    torch.randint(6, 40, (1,), generator=generator), torch.randint(1, 4, (1,), generator=generator)
    features = torch.randn(count, width, dtype=torch.float64, generator=generator) ** 3 * 10
    labels = (torch.rand(count, generator=generator) < 0.2).double()
    design = np.c_[features.numpy(), np.ones(count)]
    signs, ridge = 2 * labels.numpy() - 1, np.r_[np.full(width, penalty), 0.0]

    def loss(weights: Any) -> float:
        return float(np.logaddexp(0, -signs * (design @ weights)).sum() + (ridge * weights**2).sum() / 2)

    expected = minimize(loss, np.zeros(width + 1), tol=1e-12)
    found = logistic_regression(features, labels, penalty=penalty).numpy()
    assert loss(found) == pytest.approx(expected.fun, rel=1e-9)
    np.testing.assert_allclose(found, expected.x, rtol=1e-3, atol=1e-4)


def regression_loss(features: Tensor, labels: Tensor, penalty: float, weights: Tensor) -> Tensor:
    """`Σ log(1 + exp(−s z)) + penalty/2 |w|²`."""
    margins = torch.where(labels > 0, 1.0, -1.0) * (features @ weights[:-1] + weights[-1])
    return torch.nn.functional.softplus(-margins).sum() + penalty / 2 * weights[:-1].square().sum()


@pytest.mark.parametrize(
    ("features", "positive", "penalty"),
    [
        ([[5, 0], [0, 0], [1, 0], [-1, 0]], 3, 0.01),
        ([[-1, 0], [-6, -3], [50, 1], [-28, 9], [5, -3]], 3, 10.0),
        ([[40, 2], [0, 0], [-2, -1], [-2, 0], [13, 0]], 3, 0.1),
        ([[0, 1], [0, 230], [0, 0], [-1, 24]], 1, 0.1),
        ([[0, 6], [2, -18], [2, 0], [0, 9]], 2, 1e-5),
    ],
)
def test_the_gradient_is_zero_where_the_regression_ends(
    features: list[list[int]], positive: int, penalty: float
) -> None:
    """A few points with outliers: whether a step is taken depends on each term of the loss."""
    design, labels = torch.tensor(features).double(), (torch.arange(len(features)) < positive).double()
    weights = logistic_regression(design, labels, penalty=penalty).requires_grad_()
    (gradient,) = torch.autograd.grad(regression_loss(design, labels, penalty, weights), weights)
    assert gradient.tolist() == pytest.approx([0, 0, 0], abs=5e-4)


def test_a_step_that_would_raise_the_loss_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fifth of these: the whole step would multiply the loss by 17, and half of it lowers it."""
    features = torch.tensor([[0, 6], [2, -18], [2, 0], [0, 9]]).double()
    labels = torch.tensor([1, 1, 0, 0]).double()
    ends = []
    for steps in (4, 5):
        monkeypatch.setattr(c2st, "_MOST_STEPS", steps)
        ends.append(logistic_regression(features, labels, penalty=1e-5))

    def loss(weights: Tensor) -> Tensor:
        return regression_loss(features, labels, 1e-5, weights)

    start = ends[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(start), start)
    step = torch.linalg.solve(torch.autograd.functional.hessian(loss, ends[0]), gradient)
    assert loss(ends[0] - step / 2) < loss(ends[0]) < loss(ends[0] - step) / 10
    torch.testing.assert_close(ends[1], ends[0] - step / 2)


# Kernels


@pytest.mark.parametrize("rows", [3, 7, 100])
def test_sums_over_blocks_are_the_sums_over_all_pairs(rows: int) -> None:
    left, right = normal(23, 4), normal(11, 4, seed=1)
    budget = rows * 23 * 8
    kernels = [(-torch.cdist(left, side).square() / (2 * 1.5**2)).exp() for side in (left, right)]
    torch.testing.assert_close(rbf_rows(left, left, 1.5, budget), kernels[0].sum(1) - 1)
    torch.testing.assert_close(rbf_rows(left, right, 1.5, budget), kernels[1].sum(1))


def test_a_block_that_stands_for_its_mirror_image_adds_to_both_sides() -> None:
    squared = normal(2, 3).square()
    block = SimpleNamespace(rows=slice(0, 2), columns=slice(2, 5), same=False, mirrored=True)
    block.strips = lambda: [slice(0, 1), slice(1, 2)]
    block.squared_of = lambda strip: squared[strip].clone()
    sums = RbfSums(5, 1.5)
    for _ in range(2):  # as other blocks of the same rows and columns do
        sums.observe(block)  # type: ignore[arg-type]
    kernel = (-squared / (2 * 1.5**2)).exp()
    torch.testing.assert_close(sums.rows, 2 * torch.cat([kernel.sum(1), kernel.sum(0)]))


def test_sums_stay_within_the_byte_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(rbf, "sweep", lambda *given: asked.append(given))
    left, right = normal(5, 2), normal(4, 2)
    rbf_rows(left, right, 1.0, 999)
    ((first, second, (observer,), budget),) = asked
    assert first is left
    assert second is right
    assert isinstance(observer, RbfSums)
    assert budget == 999


def test_sums_of_the_reference_are_stored_under_names_of_their_own() -> None:
    evidence = Evidence(samples=normal(60, 4), reference=normal(50, 4, seed=1) + 1)
    stored: dict[str, set[str]] = {}
    for name in ("unit_discrepancy", "kernel_audio_distance"):
        before = set(evidence.statistics.tensors)
        METRICS[name].compute(evidence)
        stored[name] = set(evidence.statistics.tensors) - before
    assert stored["unit_discrepancy"] == {"mmd_sum"}
    assert stored["kernel_audio_distance"] == {"kad_bandwidth", "kad_sum"}


# Defaults: the command always gives a seed; a caller of the functions may not


def test_the_seeds_of_functions_are_zero_unless_given() -> None:
    samples, reference = normal(40, 3), normal(30, 3, seed=1) + 0.5
    stated = transport(samples, reference, projections=MIND_PROJECTIONS, seed=0)
    assert transport(samples, reference).distance == stated.distance
    assert transport(samples, reference, seed=1).distance != stated.distance
    many = normal(3000, 3)  # the bandwidth is that of some of them
    assert kernel_audio_distance(samples, many) == kernel_audio_distance(samples, many, seed=0)
    assert kernel_audio_distance(samples, many) != kernel_audio_distance(samples, many, seed=1)
    assert torch.equal(fit_buckets(samples, 3), fit_buckets(samples, 3, seed=0))
    assert not torch.equal(fit_buckets(samples, 3), fit_buckets(samples, 3, seed=1))


# The fit of FLD


def test_a_fit_takes_as_many_steps_as_it_may_and_its_distances_are_not_filtered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses, filtered = list[float](), list[Any]()
    loss, sweep = fld._loss, fld.sweep

    def counted(*given: Any) -> tuple[float, Tensor]:
        found = loss(*given)
        losses.append(found[0])
        return found

    def noted(*given: Any, **named: Any) -> None:
        filtered.append(named)
        sweep(*given, **named)

    monkeypatch.setattr(fld, "_loss", counted)
    monkeypatch.setattr(fld, "sweep", noted)
    monkeypatch.setattr(fld, "FLD_STEPS", 4)
    fld.fit_log_widths(normal(10, 3), normal(20, 3, seed=1))
    assert len(losses) == 4
    assert filtered == [{"filtered": False}]


def test_widths_stay_within_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fld, "_LARGEST_LOG", 2.0)
    centres = torch.cat([normal(5, 3) * 1e-3, normal(5, 3) * 1e3])
    items = torch.cat([centres[:5], normal(5, 3, seed=1) * 1e3])  # copies of some, far from the others
    widths = fld.fit_log_widths(centres, items)
    assert widths[:5].tolist() == [-2.0] * 5
    assert widths[5:].tolist() == [2.0] * 5


def test_the_loss_is_the_mean_negative_log_likelihood_and_its_gradient() -> None:
    squared, origin = normal(7, 3).square(), normal(7, seed=1).square()
    widths = normal(4, seed=2).requires_grad_()
    logs = -0.5 * (
        torch.cat([squared, origin[:, None]], 1) / widths.exp() + 2 * (widths + np.log(2 * np.pi))
    ) - torch.tensor([np.log(3)] * 3 + [0.0])
    expected = -logs.logsumexp(1).mean() / 2
    (gradient,) = torch.autograd.grad(expected, widths)
    found = fld._loss(squared, origin, widths.detach(), 2)
    assert found[0] == pytest.approx(float(expected.detach()))
    torch.testing.assert_close(found[1], gradient)


# Texts: BLEU, MAUVE and its buckets


def test_the_nearest_length_may_be_the_farthest_there_is() -> None:
    alone = torch.tensor([[False, False, False, True], [True, False, False, False]])
    assert bleu._nearest(alone[:1].expand(4, 4)).tolist() == [3] * 4
    assert bleu._nearest(alone[1:].expand(4, 4)).tolist() == [0] * 4
    both = torch.tensor([[True, False, True, False]]).expand(4, 4)
    assert bleu._nearest(both).tolist() == [0, 0, 2, 2], "of two as near, the shorter"


def test_a_bucket_that_nobody_is_in_adds_nothing_to_the_integral() -> None:
    p, q = torch.tensor([0.2, 0.8]), torch.tensor([0.5, 0.5])
    empty = torch.zeros(1)
    found = mauve.frontier_integral(torch.cat([p, empty]), torch.cat([q, empty]))
    assert found == pytest.approx(mauve.frontier_integral(p, q), abs=1e-12)
    assert found > 0


def test_mauve_is_in_float64_from_seed_zero_and_on_as_many_as_the_smaller_side(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, reference = normal(40, 3), normal(30, 3, seed=1) + 0.5
    areas, integrals = mauve.mauve(samples, reference, buckets=3)
    assert areas.dtype == integrals.dtype == torch.float64
    stated = mauve.mauve(samples, reference, buckets=3, seed=0)
    assert torch.equal(areas, stated[0])
    # Neither is a float32 number by chance.
    assert not torch.equal(areas, areas.float().double())
    assert not torch.equal(integrals, integrals.float().double())
    asked: list[Any] = []
    of_both = mauve.mauve
    monkeypatch.setattr(
        mauve, "mauve", lambda *given, **named: asked.append((given, named)) or of_both(*given, **named)
    )
    mauve.measure(Evidence(samples=samples, reference=reference))
    mauve.measure(Evidence(samples=samples[:8], reference=reference))
    assert [(len(given[0]), len(given[1]), named["buckets"]) for given, named in asked] == [(30, 30, 3), (8, 8, 2)]


@pytest.mark.parametrize(("variance", "components"), [(0.5, 1), (0.75, 2), (0.97, 3), (0.9999, 4)])
def test_as_many_components_are_kept_as_explain_the_variance(variance: float, components: int) -> None:
    """Unit vectors at the ends of four axes: the axes explain 64, 25, 9 and 2 of 100 parts."""
    counts = [32, 12, 5, 1]
    axes = torch.eye(4, dtype=torch.float64).repeat_interleave(torch.tensor(counts), 0)
    features = torch.cat([axes, -axes]) * 7
    found = projected(features, variance=variance)
    assert found.shape == (100, components)
    shares = torch.tensor(counts, dtype=torch.float64) / 50
    torch.testing.assert_close(found.square().mean(0).flip(0), shares[:components])


def test_a_bucket_of_one_point_has_its_centre_there() -> None:
    """From 19, 9 and 10, Lloyd's steps by hand: 12 is alone at the second, so that the third gives 19 to its bucket."""
    points = torch.tensor([[19.0], [9.0], [10.0], [31.0], [32.0], [12.0], [25.0]], dtype=torch.float64)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    arranged = torch.empty_like(points)
    arranged[order] = points  # so that the first three are the centres
    assert fit_buckets(arranged, 3, seed=0)[order].tolist() == [2, 1, 1, 0, 0, 1, 0]


# Sounds


def test_the_bins_of_pitch_reach_a_semitone_above_the_highest() -> None:
    semitones = 12 * np.log2(pitch.PITCH_HIGHEST / pitch.PITCH_LOWEST) + 1
    assert pitch._bins() == 1 + round(semitones / pitch.PITCH_STEP)


def test_pitches_beyond_the_bins_are_counted_at_their_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    hertz = torch.tensor([[[30.0, 59.0, 5000.0, 60.0]]], dtype=torch.float64)
    monkeypatch.setattr(pitch, "pitches", lambda frames, rate: hertz)
    shares = pitch.pitch_shares(torch.zeros(1, 1, 1000, dtype=torch.int16), 8000).shares
    assert shares is not None
    assert (float(shares[0]), float(shares[-1]), len(shares)) == (0.75, 0.25, pitch._bins())


def test_a_clip_of_one_frame_has_a_pitch() -> None:
    size = pitch.frame_size(8000)
    time = torch.arange(size, dtype=torch.float64) / 8000
    clip = (torch.sin(2 * torch.pi * 220 * time) * 10_000).short()[None, None]
    assert pitch.pitch_shares(clip, 8000).voiced.tolist() == [1.0]


def test_each_frame_has_a_pitch_of_its_own() -> None:
    size = pitch.frame_size(8000)
    time = torch.arange(size, dtype=torch.float64) / 8000
    frames = torch.stack([torch.sin(2 * torch.pi * 220 * time), normal(size) / 4, torch.zeros(size)])
    found = pitch.pitches(frames, 8000)
    assert float(found[0]) == pytest.approx(220, abs=1)
    assert found[1:].isnan().all()


def test_a_silent_frame_differs_from_itself_by_one() -> None:
    difference, normalised = pitch._differences(torch.zeros(2, 8, dtype=torch.float64))
    assert difference.tolist() == [[0.0] * 5] * 2
    assert normalised.tolist() == [[1.0] * 5] * 2


@pytest.mark.parametrize(
    ("around", "lag"),
    [
        ((0.05, 0.05, 0.05), 8.0),  # flat: the first lag, as it is
        ((0.0, 0.05, 0.11), 7.0),  # the minimum lies before the shortest lag
        ((0.09, 0.05, 0.07), 8 + 0.02 / 0.12),
        ((0.15, 0.11, 0.3), 8 - 0.15 / 0.46),  # above the threshold, but lowest at 0.0978
        ((0.15, 0.12, 0.3), math.nan),  # lowest at 0.1054
    ],
)
def test_the_minimum_is_moved_by_a_parabola(
    monkeypatch: pytest.MonkeyPatch, around: tuple[float, float, float], lag: float
) -> None:
    rate = 8 * pitch.PITCH_HIGHEST  # the shortest lag is 8
    differences = torch.ones(1, 40, dtype=torch.float64)
    differences[0, 7:10] = torch.tensor(around, dtype=torch.float64)
    monkeypatch.setattr(pitch, "_differences", lambda frames: (differences, differences))
    found = pitch.pitches(normal(1, 78), rate)
    assert float(found) == pytest.approx(rate / lag, nan_ok=True)


def test_statistics_of_sounds_are_stored_under_names_of_their_own() -> None:
    clips = (normal(3, 1, 4000) * 3000).short()
    evidence = Evidence(
        samples=normal(3, 2), reference=normal(3, 2), sample_items=clips, reference_items=clips, sample_rate=8000
    )
    stored: dict[str, set[str]] = {}
    for name in ("pitch", "sound_statistics"):
        before = set(evidence.statistics.tensors)
        METRICS[name].compute(evidence)
        stored[name] = set(evidence.statistics.tensors) - before
    assert stored == {"pitch": {"pitches"}, "sound_statistics": {"loudness", "long_term_spectrum"}}


@pytest.mark.parametrize("value", [0, 32767])
def test_loudness_has_a_bin_for_each_tenth_of_a_decibel_from_silence_to_full_scale(value: int) -> None:
    shares = loudness_shares(torch.full((1, 1, 4000), value, dtype=torch.int16), 8000)
    assert len(shares) == 601
    assert int(shares.argmax()) == (600 if value else 0)


def test_clipping_says_what_is_no_clip() -> None:
    with pytest.raises(ValueError, match=r"^clips: expected int16 clips"):
        clipping(torch.zeros(1, 1, 4))


def test_the_ratio_of_a_clip_does_not_depend_on_its_loudness_and_ends_where_it_says() -> None:
    original = torch.tensor([[[1, 0, -1, 0]], [[1000, 0, -1000, 0]]], dtype=torch.int16)
    restored = torch.tensor([[[1, 1, -1, 1]], [[1000, 1000, -1000, 1000]]], dtype=torch.int16)
    assert si_sdr(original, restored).tolist() == pytest.approx([0.0, 0.0])
    assert si_sdr(original, original).tolist() == [100.0] * 2
    assert si_sdr(original, restored * 0).tolist() == [-100.0] * 2
