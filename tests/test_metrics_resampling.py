"""Standard errors of the evaluation, compared with the spread of repeated draws where the truth is known."""

from __future__ import annotations

import dataclasses
import math
import statistics

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from genbench.metrics import Evidence
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.frechet_floor import held_out_standard_error
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.inception_score import classifier_score
from genbench.metrics.kid import kernel_distance
from genbench.metrics.kid_sums import PairSums
from genbench.metrics.likelihood import bits_per_dimension
from genbench.metrics.pairs import kid_rows
from genbench.metrics.resampling import (
    frechet_standard_error,
    kernel_standard_error,
    mean_standard_error,
    paired_standard_error,
    score_standard_error,
    share_standard_error,
)
from genbench.metrics.standard_errors import LEAST, LEAST_OF, standard_error

DIMENSION, COUNT = 8, 300
REFERENCE = GaussianStatistics(torch.zeros(DIMENSION), 1.3 * torch.eye(DIMENSION), count=10**6)


def draw(seed: int, count: int = COUNT, dimension: int = DIMENSION) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimension, generator=generator, dtype=torch.float64) + 0.1


def distance(features: Tensor) -> float:
    return frechet_distance(GaussianStatistics.from_features(features), REFERENCE)


@pytest.fixture(scope="module")
def truth() -> float:
    """The mean of the Fréchet distance at this count, from 1,500 draws."""
    return sum(distance(draw(seed)) for seed in range(5000, 6500)) / 1500


def test_the_interval_of_the_frechet_distance_holds_its_mean_95_times_in_100(truth: float) -> None:
    held = sum(
        abs(distance(draw(seed)) - truth) <= 1.96 * frechet_standard_error(draw(seed), REFERENCE) for seed in range(150)
    )
    assert 133 <= held <= 149  # outside with P < 0.01 if the coverage is 0.95


def test_the_percentile_bootstrap_does_not(truth: float) -> None:
    """This is why it is not used: its resamples are shifted up by about the bias that the number already has."""
    held, shifts = 0, []
    for seed in range(40):
        features = draw(seed)
        generator = torch.Generator().manual_seed(seed)
        drawn = [distance(features[torch.randint(COUNT, (COUNT,), generator=generator)]) for _ in range(60)]
        low, high = torch.tensor(drawn).quantile(torch.tensor([0.025, 0.975])).tolist()
        held += low <= truth <= high
        shifts.append(sum(drawn) / 60 - distance(features))
    limit = DIMENSION * (0.01 + (1 - math.sqrt(1.3)) ** 2)
    assert held < 30
    assert sum(shifts) / 40 == pytest.approx(truth - limit, rel=0.3)


@pytest.mark.parametrize("references", [500, 12], ids=["full rank", "reference of low rank"])
def test_the_error_of_the_distance_is_that_of_leaving_out_one_after_the_other(references: int) -> None:
    """The delete-one jackknife by its definition, at a size where it is affordable."""
    samples, reference = draw(3, 400, 16), GaussianStatistics.from_features(1.2 * draw(4, references, 16))

    def without(index: int) -> float:
        kept = torch.cat([samples[:index], samples[index + 1 :]])
        return frechet_distance(GaussianStatistics.from_features(kept), reference)

    values = torch.tensor([without(index) for index in range(400)], dtype=torch.float64)
    slow = math.sqrt(399 / 400 * float((values - values.mean()).square().sum()))
    assert frechet_standard_error(samples, reference) == pytest.approx(slow, rel=0.1)


def weighted_distance(samples: Tensor, weights: Tensor, reference: GaussianStatistics) -> float:
    """The distance of weighted samples: `μ = Σ w x`, `Σ = N/(N − 1) Σ w (x − μ)(x − μ)ᵀ`."""
    count = len(samples)
    mean = weights @ samples
    covariance = count / (count - 1) * ((samples - mean) * weights[:, None]).T @ (samples - mean)
    return frechet_distance(GaussianStatistics(mean, covariance, count), reference)


def of_rank_three(dimension: int) -> Tensor:
    features = 1.2 * draw(4, 50, dimension)
    features[:, 3:] = 0.0
    return features


@pytest.mark.parametrize("references", [1.2 * draw(4, 500, 5), 1.2 * draw(4, 4, 5), of_rank_three(5)])
def test_the_error_of_the_distance_is_that_of_its_derivatives_by_the_weights(references: Tensor) -> None:
    """By finite differences in one weight, which shrinks all others; references of full rank, few, and singular."""
    samples, reference = draw(3, 40, 5), GaussianStatistics.from_features(references)
    even, step = torch.full((40,), 1 / 40, dtype=torch.float64), 1e-4
    derivatives = [
        sum(side * weighted_distance(samples, even + side * step * (one - even), reference) for side in (1, -1))
        for one in torch.eye(40, dtype=torch.float64)
    ]
    expected = statistics.stdev(derivatives) / (2 * step) / math.sqrt(40)
    assert frechet_standard_error(samples, reference) == pytest.approx(expected, rel=1e-4)
    total = GaussianStatistics.from_features(samples)
    assert frechet_standard_error(samples, reference, total=total) == frechet_standard_error(samples, reference)


def test_both_ways_to_the_error_of_the_distance_agree() -> None:
    """For few samples: from their factor, and from their covariance."""
    reference = GaussianStatistics.from_features(1.2 * draw(4, 500, 9))
    samples = draw(3, 7, 9)
    few = GaussianStatistics.from_features(samples)
    dense = GaussianStatistics(few.mean, few.covariance, few.count)
    found = frechet_standard_error(samples, reference)
    assert found == pytest.approx(frechet_standard_error(samples, reference, total=dense), rel=1e-6)


def test_the_error_of_the_distance_depends_on_no_origin_and_alike_samples_have_none() -> None:
    samples, reference = draw(3, 40, 5), 1.2 * draw(4, 500, 5)
    found, moved = (
        frechet_standard_error(samples + shift, GaussianStatistics.from_features(reference + shift)) for shift in (0, 9)
    )
    assert moved == pytest.approx(found, rel=1e-9)
    alike = torch.ones(20, 5, dtype=torch.float64)
    assert frechet_standard_error(alike, GaussianStatistics.from_features(reference)) == 0.0


def test_with_fewer_samples_than_features_the_error_is_on_the_safe_side() -> None:
    reference = GaussianStatistics.from_features(draw(999, 2000, 64))
    draws = [draw(seed, 40, 64) for seed in range(60)]
    spread = torch.tensor([frechet_distance(GaussianStatistics.from_features(x), reference) for x in draws]).std()
    errors = torch.tensor([frechet_standard_error(x, reference) for x in draws])
    assert spread < errors.mean() < 2 * spread


def test_the_interval_of_a_score_holds_its_mean_at_the_least_count() -> None:
    """At 20 samples, the infinitesimal jackknife's interval contained it 27 times in 100."""
    draws = [3 * draw(seed, LEAST_OF["classifier_score"]) for seed in range(400)]
    scores = torch.tensor([classifier_score(logits)[0] for logits in draws])
    errors = torch.tensor([score_standard_error(logits) for logits in draws])
    held = float(((scores - scores.mean()).abs() <= 1.96 * errors).double().mean())
    assert 0.93 <= held <= 0.985
    assert float(errors.mean()) == pytest.approx(float(scores.std()), rel=0.15)


def test_the_error_of_a_score_is_that_of_leaving_out_one_after_the_other() -> None:
    logits = 3 * draw(3, 45)
    order = torch.randperm(45, generator=torch.Generator().manual_seed(0))
    variance = 0.0
    for part in (logits[order][start * 45 // 10 : (start + 1) * 45 // 10] for start in range(10)):
        kept = [torch.cat([part[:row], part[row + 1 :]]) for row in range(len(part))]
        scores = torch.tensor([classifier_score(rows, splits=1, seed=None)[0] for rows in kept])
        variance += float((scores - scores.mean()).square().sum()) * (len(part) - 1) / len(part)
    assert score_standard_error(logits) == pytest.approx(math.sqrt(variance) / 10, rel=1e-5)


@pytest.mark.parametrize("count", [LEAST_OF["precision"], 1000])
def test_the_interval_of_a_share_holds_it_whatever_it_is(count: int) -> None:
    """Exact coverage, from binomial probabilities; that of s/√N falls to 0.05 near 1, this one at 100 to 0.924."""
    seen = np.arange(count + 1)
    errors = np.array([share_standard_error(torch.arange(count) < true) for true in seen])
    shares = np.linspace(0.001, 0.999, 999)
    held = [stats.binom.pmf(seen[np.abs(seen / count - p) <= 1.96 * errors], count, p).sum() for p in shares]
    assert min(held) > 0.9285
    assert np.mean(held) > 0.945
    assert np.mean(np.array(held) < 0.93) < 0.005


def test_the_interval_of_a_skewed_mean_holds_it_at_the_least_count() -> None:
    """Squared errors of images are skewed; here with a skewness of 2, like an exponential."""
    draws = torch.empty(5000, LEAST).exponential_(generator=torch.Generator().manual_seed(0))
    errors = torch.tensor([mean_standard_error(row) for row in draws])
    assert float(((draws.mean(dim=1) - 1).abs() <= 1.96 * errors).double().mean()) > 0.93


def test_the_error_of_kid_is_the_spread_of_repeated_draws() -> None:
    reference = draw(999, count=200) - 0.4
    values, errors = [], []
    for seed in range(120):
        samples = draw(seed, count=100)
        values.append(kernel_distance(samples, reference))
        within = kid_rows(samples, samples)
        across = ((samples @ reference.T / DIMENSION + 1) ** 3).sum(dim=1)
        errors.append(kernel_standard_error(PairSums(within, across, len(reference)).contrasts))
    assert sum(errors) / 120 == pytest.approx(float(torch.tensor(values).std()), rel=0.2)


def test_the_fast_jackknife_of_kid_leaves_out_one_after_the_other() -> None:
    samples, reference = draw(1, count=12), draw(2, count=15)
    within = kid_rows(samples, samples)
    across = ((samples @ reference.T / DIMENSION + 1) ** 3).sum(dim=1)
    values = torch.tensor(
        [kernel_distance(samples[torch.arange(12) != left_out], reference) for left_out in range(12)],
        dtype=torch.float64,
    )
    slow = math.sqrt(11 / 12 * float((values - values.mean()).square().sum()))
    assert kernel_standard_error(PairSums(within, across, 15).contrasts) == pytest.approx(slow, rel=1e-9)


def test_the_error_of_a_decibel_is_that_of_its_mean_square() -> None:
    generator = torch.Generator().manual_seed(1)
    originals = torch.randint(256, (400, 1, 4, 4), generator=generator, dtype=torch.uint8)
    noise = torch.randint(-20, 21, originals.shape, generator=generator)
    restored = (originals + noise).clamp(0, 255).to(torch.uint8)
    evidence = Evidence(samples=draw(1), reference=draw(2), originals=originals, reconstructions=restored)
    errors = (originals.double() - restored.double()).div(255).square().mean(dim=(1, 2, 3))
    mse_error = standard_error("reconstruction_mse", evidence)
    assert mse_error == pytest.approx(mean_standard_error(errors), rel=1e-9)
    low, high = (-10 * math.log10(float(errors.mean()) + side * mse_error) for side in (1, -1))
    assert standard_error("psnr", evidence) == pytest.approx((high - low) / 2, rel=0.01)


def test_the_error_of_bits_is_that_of_the_mean_of_each_image_s() -> None:
    nats = 40 * draw(7, 150)[:, 0]
    evidence = Evidence(samples=draw(1), reference=draw(2), log_likelihoods=nats, dimensions=16)
    bits = [bits_per_dimension(each, 16) for each in nats.split(1)]
    expected = statistics.stdev(bits) / math.sqrt(150)
    assert standard_error("bits_per_dim", evidence) == pytest.approx(expected, rel=1e-9)


def test_the_error_of_quality_is_that_of_the_share_in_any_mode_the_first_too() -> None:
    modes = torch.tensor([-1] * 60 + [0] * 40 + [1] * 50 + [2] * 90)
    evidence = Evidence(samples=draw(1, 240), reference=draw(2), sample_modes=modes, mode_count=3)
    assert standard_error("high_quality_fraction", evidence) == share_standard_error(torch.arange(240) < 180)


@pytest.mark.parametrize(("count", "inside"), [(100, 0), (100, 7), (96, 96), (40, 20)])
def test_the_error_of_a_share_is_that_of_a_mean_over_two_more_of_each_kind(count: int, inside: int) -> None:
    flags = np.array([1] * (inside + 2) + [0] * (count - inside + 2))
    found = share_standard_error(torch.arange(count) < inside)
    assert found == pytest.approx(flags.std() / math.sqrt(count + 4), rel=1e-12)


def test_the_errors_of_the_table_are_those_of_its_numbers() -> None:
    """With the evidence's own seed, from the flags of each sample."""
    evidence = dataclasses.replace(evidence_of(200), seed=3, sample_logits=draw(6, 200, 100))
    apart = torch.cdist(evidence.samples, evidence.reference)
    radii = torch.cdist(evidence.reference, evidence.reference).fill_diagonal_(torch.inf).sort(dim=1).values
    inside = (apart <= radii[:, 2]).any(dim=1)
    assert standard_error("precision", evidence) == share_standard_error(inside)
    nearest, rows = apart.min(dim=1)
    assert standard_error("authenticity", evidence) == share_standard_error(nearest > radii[rows, 0])
    expected = score_standard_error(evidence.sample_logits, seed=3)
    assert standard_error("classifier_score", evidence) == expected
    assert (
        expected != score_standard_error(evidence.sample_logits) == score_standard_error(evidence.sample_logits, seed=0)
    )
    found = standard_error("fd", evidence)
    assert found == frechet_standard_error(evidence.samples, evidence.statistics.gaussian)


@pytest.mark.parametrize("shift", [0, 2])
def test_the_distance_of_held_out_samples_has_the_error_of_such_samples(shift: int) -> None:
    """Near the floor of the distance, and far from it."""
    drawn = evidence_of(200)
    apart = dataclasses.replace(drawn, samples=drawn.samples + shift)
    held_out = dataclasses.replace(apart, samples_held_out=True)
    jackknife = frechet_standard_error(apart.samples, apart.statistics.gaussian)
    assert standard_error("fd", apart) == jackknife
    assert standard_error("fd", held_out) == held_out_standard_error(held_out, jackknife) != jackknife


@pytest.mark.parametrize(("gained", "lost", "same"), [(7, 2, 31), (0, 0, 98), (12, 12, 0)])
def test_a_paired_error_counts_only_what_differs_with_half_an_item_in_each_cell(
    gained: int, lost: int, same: int
) -> None:
    first = torch.tensor([True] * gained + [False] * lost + [True] * same)
    second = torch.tensor([False] * gained + [True] * lost + [True] * same)
    n, b, c = gained + lost + same + 2, gained + 0.5, lost + 0.5
    differences = [1.0] * int(2 * b) + [-1.0] * int(2 * c) + [0.0] * (2 * n - int(2 * b) - int(2 * c))  # each twice
    assert paired_standard_error(first, second) == pytest.approx(np.std(differences) / math.sqrt(n), rel=1e-12)


def test_ssim_has_no_error_where_too_few_images_were_looked_at() -> None:
    """2²⁰ values are 96 images of 104² values; images of 2×2 pixels have no SSIM."""
    for side in (104, 2):
        images = torch.zeros(LEAST, 1, side, side, dtype=torch.uint8)
        evidence = Evidence(samples=draw(1), reference=draw(2), originals=images, reconstructions=images + 1)
        assert standard_error("reconstruction_mse", evidence) == 0.0
        assert standard_error("ssim", evidence) is None


NAMES = ("fd", "kid", "precision", "density", "authenticity", "classifier_score", "bits_per_dim", "ssim", "psnr")


def evidence_of(count: int) -> Evidence:
    generator = torch.Generator().manual_seed(8)
    images = torch.randint(256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return Evidence(
        samples=draw(4, count),
        reference=draw(5, 400),
        sample_logits=draw(6, count) * 3,
        log_likelihoods=draw(7, count)[:, 0],
        dimensions=16,
        originals=images,
        reconstructions=images // 2,
    )


def test_errors_shrink_with_the_count() -> None:
    few, many = evidence_of(1000), evidence_of(4000)
    for name in NAMES:
        small, large = standard_error(name, many), standard_error(name, few)
        assert small is not None
        assert large is not None
        assert 0 < small < 0.7 * large, name


def test_a_number_without_an_error_and_too_few_images_have_none() -> None:
    assert standard_error("recall", evidence_of(100)) is None
    assert standard_error("c_t_p", evidence_of(100)) is None
    assert [standard_error(name, evidence_of(LEAST - 1)) for name in NAMES] == [None] * len(NAMES)
    for count in {LEAST, *LEAST_OF.values()}:
        few, enough = evidence_of(count - 1), evidence_of(count)
        for name in NAMES:
            least = LEAST_OF.get(name, LEAST)
            assert (standard_error(name, few) is None) == (count - 1 < least), name
            assert (standard_error(name, enough) is None) == (count < least), name
    for classes in (100, 101):
        of_many = dataclasses.replace(evidence_of(200), sample_logits=draw(6, 200, classes))
        assert (standard_error("classifier_score", of_many) is None) == (classes > 100)


def test_a_density_s_error_is_on_the_density_s_scale() -> None:
    """Each ball counts for a fifth: half of the samples lie in the same number of the ten balls, half in none."""
    reference = torch.arange(10.0)[:, None] / 1000  # within 0.01 of each other
    samples = torch.cat([torch.full((500, 1), 0.0045), torch.full((500, 1), 50.0)])
    evidence = Evidence(samples=samples + torch.arange(1000.0)[:, None] * 1e-9, reference=reference)
    balls = evidence.cross_pairs.balls
    inside = int(balls[0])
    assert inside > 0
    assert balls.tolist() == [inside] * 500 + [0] * 500
    expected = inside / 5 * math.sqrt(0.25 / 999)  # inside/5 or 0, each half of the time
    assert standard_error("density", evidence) == pytest.approx(expected, rel=1e-9)
