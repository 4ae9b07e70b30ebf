"""KID and the classifier score: closed forms, invariances, faults."""

from __future__ import annotations

import functools
import itertools
import math
import statistics

import pytest
import torch
from scipy import special, stats
from torch import Tensor

from genbench.metrics import METRICS, Evidence, NotMeasurable, kid
from genbench.metrics.inception_score import classifier_score
from genbench.metrics.kid import kernel_distance, subset_kernel_distance


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shifted_gaussian_mmd(dimension: int, squared_shift: float) -> float:
    """The squared MMD between N(0, I) and N(m, I), with M = |m|²: the mean of the estimate."""
    d, m = dimension, squared_shift
    return 3 * m / d + 3 * m**2 / d**2 + (m**3 + 6 * m**2 + 3 * m * d + 6 * m) / d**3


def test_the_closed_form_itself() -> None:
    assert shifted_gaussian_mmd(64, 4.0) == pytest.approx(0.2028503, abs=5e-8)


def test_estimates_the_closed_form_between_shifted_gaussians() -> None:
    shift = torch.full((64,), math.sqrt(4 / 64))
    found = torch.tensor(
        [kernel_distance(normal(1000, 64, seed=s) + shift, normal(1000, 64, seed=s + 50)) for s in range(12)]
    )
    error = float(found.std()) / math.sqrt(len(found))
    assert float(found.mean()) == pytest.approx(0.2028503, abs=4 * error)
    assert error < 0.01


def test_has_no_bias_at_small_counts() -> None:
    """Over many draws of 5 samples per side from one distribution, the mean is 0, and some estimates are negative."""
    found = torch.tensor([kernel_distance(normal(5, 4, seed=s), normal(5, 4, seed=s + 900)) for s in range(400)])
    assert abs(float(found.mean())) < 4 * float(found.std()) / 20
    assert (found < 0).any()


@pytest.mark.parametrize(("count", "references"), [(7, 5), (6, 6)])
def test_equals_the_sum_over_pairs(count: int, references: int) -> None:
    samples, reference = normal(count, 3).double(), normal(references, 3, seed=1).double()

    def kernel(x: Tensor, y: Tensor) -> float:
        return (float(x @ y) / 3 + 1) ** 3

    within = sum(kernel(x, y) for i, x in enumerate(samples) for j, y in enumerate(samples) if i != j)
    among = sum(kernel(x, y) for i, x in enumerate(reference) for j, y in enumerate(reference) if i != j)
    across = sum(kernel(x, y) for x in samples for y in reference)
    expected = within / (count * (count - 1)) + among / (references * (references - 1))
    expected -= 2 * across / (count * references)
    assert kernel_distance(samples, reference) == pytest.approx(expected, rel=1e-12)


def test_neither_blocks_nor_order_change_it() -> None:
    samples, reference = normal(150, 6), normal(90, 6, seed=1) + 0.3
    whole = kernel_distance(samples, reference)
    assert kernel_distance(samples, reference, byte_budget=1) == pytest.approx(whole, rel=1e-10)
    assert kernel_distance(samples.flip(0), reference.flip(0)) == pytest.approx(whole, rel=1e-10)
    assert kernel_distance(reference, samples) == pytest.approx(whole, rel=1e-10)


def test_each_sweep_has_the_byte_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    def rows(left: Tensor, right: Tensor, byte_budget: int) -> Tensor:
        told.append(byte_budget)
        return torch.zeros(len(left))

    monkeypatch.setattr(kid, "kid_rows", rows)
    kernel_distance(normal(9, 2), normal(8, 2), byte_budget=1234)
    assert told == [1234] * 3


def test_grows_with_the_shift() -> None:
    reference = normal(300, 8, seed=1)
    found = [kernel_distance(normal(300, 8) + shift, reference) for shift in (0.0, 0.3, 0.6, 1.2)]
    assert found == sorted(found)


def test_subsets_estimate_the_same_with_more_noise() -> None:
    samples, reference = normal(400, 8) + 0.5, normal(400, 8, seed=1)
    mean, deviation = subset_kernel_distance(samples, reference, subsets=50, subset_size=100, seed=3)
    assert mean == pytest.approx(kernel_distance(samples, reference), abs=4 * deviation / math.sqrt(50))
    assert deviation > 0
    assert subset_kernel_distance(samples, reference, subsets=5, subset_size=100, seed=3) == subset_kernel_distance(
        samples, reference, subsets=5, subset_size=100, seed=3
    )


def test_subsets_are_drawn_in_turn_and_their_spread_is_that_of_a_population() -> None:
    samples, reference = normal(40, 3) + 1, normal(30, 3, seed=1)
    draw = torch.Generator().manual_seed(0)
    values = []
    for _ in range(4):
        rows, of_reference = (torch.randperm(count, generator=draw)[:30] for count in (40, 30))
        values.append(kernel_distance(samples[rows], reference[of_reference]))
    found = subset_kernel_distance(samples, reference, subsets=4, subset_size=30)
    assert found == pytest.approx((statistics.mean(values), statistics.pstdev(values)), rel=1e-12)


def test_the_table_s_subsets_are_of_the_evidence_and_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    few = functools.partial(subset_kernel_distance, subsets=3, subset_size=20)
    monkeypatch.setattr(kid, "subset_kernel_distance", few)
    evidence = Evidence(samples=normal(50, 3) + 1, reference=normal(60, 3, seed=1), seed=7)
    mean, deviation = few(evidence.samples, evidence.reference, seed=7)
    assert kid.measure_subsets(evidence) == {"kid_subsets": mean, "kid_subsets_std": deviation}


def test_subsets_need_enough_images() -> None:
    with pytest.raises(NotMeasurable, match="kid_subsets: needs at least 1000 items on each side, got 999"):
        subset_kernel_distance(normal(999, 2), normal(1200, 2))


def test_one_class_probability_scores_one() -> None:
    assert classifier_score(normal(1, 7).expand(50, 7)) == pytest.approx((1.0, 0.0), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_sure_and_even_scores_the_number_of_classes(classes: int) -> None:
    sure = 1e4 * torch.eye(classes).repeat(5, 1)
    assert classifier_score(sure, splits=1) == pytest.approx((classes, 0.0))


def test_dropping_classes_lowers_the_score_to_those_left() -> None:
    sure = 1e4 * torch.eye(10)[:7].repeat(10, 1)
    assert classifier_score(sure, splits=1)[0] == pytest.approx(7)


def test_the_spread_is_the_population_deviation_over_splits() -> None:
    logits = normal(40, 5) * 3
    parts = [classifier_score(part, splits=1, seed=None)[0] for part in logits.split(10)]
    mean, deviation = classifier_score(logits, splits=4, seed=None)
    assert mean == pytest.approx(sum(parts) / 4)
    assert deviation == pytest.approx(float(torch.tensor(parts).std(correction=0)), rel=1e-6)


def test_the_order_is_the_seed_s() -> None:
    """If the samples are sorted by class, a split in the given order contains one class and scores 1."""
    by_class = 1e4 * torch.eye(10).repeat_interleave(20, dim=0)
    assert classifier_score(by_class, seed=None)[0] == pytest.approx(1)
    assert classifier_score(by_class, seed=0)[0] > 6
    assert classifier_score(by_class, seed=0) == classifier_score(by_class, seed=0)


def test_the_score_is_exp_of_the_mean_divergence_of_each_of_ten_random_splits() -> None:
    """Computed with SciPy; 33 samples make splits of three and four."""
    logits = normal(33, 5) * 2
    for options in ({}, {"splits": 4, "seed": 3}):
        splits = options.get("splits", 10)
        order = torch.randperm(33, generator=torch.Generator().manual_seed(options.get("seed", 0)))
        chances = special.softmax(logits[order].double().numpy(), axis=1)
        bounds = [part * 33 // splits for part in range(splits + 1)]
        parts = [chances[low:high] for low, high in itertools.pairwise(bounds)]
        scores = [math.exp(stats.entropy(part, part.mean(axis=0), axis=1).mean()) for part in parts]
        expected = statistics.mean(scores), statistics.pstdev(scores)
        assert classifier_score(logits, **options) == pytest.approx(expected, rel=1e-9)


def test_the_table_s_score_is_seeded_by_the_evidence() -> None:
    evidence = Evidence(samples=normal(33, 2), reference=normal(9, 2), sample_logits=normal(33, 5), seed=6)
    mean, deviation = classifier_score(evidence.sample_logits, seed=6)
    expected = {"classifier_score": mean, "classifier_score_std": deviation}
    assert METRICS["classifier_score"].compute(evidence) == expected
    assert math.isfinite(classifier_score(normal(10, 3))[0])  # the minimum


def test_probabilities_that_underflow_give_a_number() -> None:
    assert math.isfinite(classifier_score(torch.tensor([[0.0, -1e30], [0.0, -1e30]]), splits=1)[0])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: classifier_score(normal(9, 3)), NotMeasurable, "classifier_score: needs at least 10 samples, got 9"),
        (lambda: classifier_score(torch.full((20, 3), math.nan)), ValueError, "logits: 20 of 20 rows contain NaN"),
        (lambda: kernel_distance(normal(5, 3), normal(5, 2)), ValueError, "expected 3 features per image, got 2"),
        (lambda: kernel_distance(normal(5, 3), normal(2000, 3) / 0), ValueError, "^reference: 2000 of 2000 rows"),
        (lambda: kernel_distance(normal(5, 3), normal(2000, 2)), ValueError, "^reference: expected 3 features per im"),
        (lambda: kernel_distance(normal(5, 3) / 0, normal(5, 3)), ValueError, "^samples: 5 of 5 rows contain NaN"),
    ],
)
def test_faulty_features_are_refused_in_one_line(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
