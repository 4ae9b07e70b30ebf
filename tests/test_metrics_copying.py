"""Memorisation and collapse: a copycat is flagged and real images are not; dropped classes and modes are seen."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits
from torch import Tensor

from genbench.metrics import METRICS, Evidence, NotMeasurable
from genbench.metrics.authenticity import authenticity, fewer_authentic_p
from genbench.metrics.cells import assign_cells, fit_cells
from genbench.metrics.class_coverage import class_coverage, class_divergence
from genbench.metrics.class_histogram import class_histogram
from genbench.metrics.data_copying import data_copying, mann_whitney_z
from genbench.metrics.frechet_gap import frechet_gap
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.modes import mode_counts
from genbench.metrics.reference_parts import split_reference


def mixture(count: int, seed: int) -> Tensor:
    """Eight Gaussians in 8 dimensions, always the same."""
    centres = 4 * torch.randn(8, 8, generator=torch.Generator().manual_seed(77))
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(8, (count,), generator=generator)
    return centres[chosen] + torch.randn(count, 8, generator=generator)


def digits() -> Tensor:
    pixels = torch.from_numpy(load_digits().data).float()
    return pixels[torch.randperm(len(pixels), generator=torch.Generator().manual_seed(5))]


def splits(data: str) -> tuple[Tensor, Tensor, Tensor]:
    """Training images, held-out images, and as many fresh ones."""
    images = mixture(1600, seed=1) if data == "mixture" else digits()
    return images[:1000], images[1000:1300], images[1300:1600]


@pytest.mark.parametrize("data", ["mixture", "digits"])
@pytest.mark.parametrize(("kind", "flagged"), [("copies", True), ("near copies", True), ("fresh", False)])
def test_copies_are_flagged_and_real_images_are_not(data: str, kind: str, flagged: bool) -> None:
    train, held_out, fresh = splits(data)
    if kind == "fresh":
        samples = fresh
    else:
        noise = 0.1 * train.std() * torch.randn(300, train.shape[1], generator=torch.Generator().manual_seed(2))
        samples = train[200:500] + (noise if kind == "near copies" else 0)
    evidence = Evidence(samples=samples, reference=train, held_out=held_out)
    numbers = METRICS["authenticity"].compute(evidence) | METRICS["data_copying"].compute(evidence)
    assert (numbers["authenticity_p"] < 0.01) == flagged
    assert (numbers["c_t_p"] < 0.01) == flagged
    assert (numbers["c_t"] < -5) == flagged


def test_copies_are_near_the_data_all_the_same() -> None:
    """What makes them dangerous: the Fréchet distance of a copycat is no larger than that of fresh images."""
    train, _, fresh = splits("digits")
    copies = Evidence(samples=train[200:500], reference=train)
    real = Evidence(samples=fresh, reference=train)
    assert METRICS["frechet_distance"].compute(copies)["fd"] < 1.1 * METRICS["frechet_distance"].compute(real)["fd"]


def test_the_tests_are_calibrated_on_fresh_images() -> None:
    """Over repeated draws of everything, p < 0.05 comes up about one time in twenty, hardly one in five."""
    seen = {"authenticity_p": 0, "c_t_p": 0}
    for seed in range(60):
        evidence = Evidence(
            samples=mixture(200, seed), reference=mixture(300, seed + 1000), held_out=mixture(200, seed + 2000)
        )
        numbers = METRICS["authenticity"].compute(evidence) | METRICS["data_copying"].compute(evidence)
        for name in seen:
            seen[name] += numbers[name] < 0.05
    assert all(count <= 9 for count in seen.values())  # P(Binomial(60, 0.05) > 9) = 0.001
    assert sum(seen.values()) > 0


def test_samples_that_miss_the_data_are_no_copies() -> None:
    train, held_out, _ = splits("mixture")
    c_t, p = data_copying(held_out + 30, train, held_out)
    assert c_t > 5
    assert p > 0.99
    assert authenticity(held_out + 30, train) == 1.0


def test_authenticity_compares_with_the_nearest_training_image_s_own_neighbour() -> None:
    train = torch.tensor([[0.0], [1.0], [10.0], [14.0]])
    # 2.5 is 1.5 from 1, which is 1 from 0: new. 12.5 is 1.5 from 14, which is 4 from 10: a near copy.
    assert authenticity(torch.tensor([[2.5], [12.5]]), train) == 0.5


@pytest.mark.parametrize("table", [(5, 20, 12, 20), (0, 300, 0, 200), (50, 50, 1, 60), (3, 1000, 30, 900)])
def test_the_p_of_authenticity_is_fisher_s(table: tuple[int, int, int, int]) -> None:
    a, m, b, h = table
    expected = stats.fisher_exact([[a, m - a], [b, h - b]], alternative="less").pvalue
    assert fewer_authentic_p(torch.arange(m) < a, torch.arange(h) < b) == pytest.approx(expected, rel=1e-9)


def test_without_held_out_images_authenticity_has_no_p() -> None:
    for held_out in (None, mixture(50, 3)[:0]):
        evidence = Evidence(samples=mixture(50, 1), reference=mixture(50, 2), held_out=held_out)
        assert set(METRICS["authenticity"].compute(evidence)) == {"authenticity"}


@pytest.mark.parametrize("ties", [False, True])
def test_mann_whitney_z_is_scipy_s(ties: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    first, second = torch.randn(40, generator=generator), torch.randn(55, generator=generator) + 0.4
    if ties:
        first, second = first.round(), second.round()
    found = stats.mannwhitneyu(
        first.numpy(), second.numpy(), alternative="less", method="asymptotic", use_continuity=False
    )
    z = mann_whitney_z(first.double(), second.double())
    assert 0.5 * math.erfc(-z / math.sqrt(2)) == pytest.approx(float(found.pvalue), rel=1e-6)
    assert mann_whitney_z(torch.ones(5), torch.ones(6)) == 0.0


def test_the_p_of_c_t_is_that_of_the_weighted_sum_of_its_cells() -> None:
    """By SciPy's Mann–Whitney statistic in two cells of 30 and 90 held-out images: Stouffer's test with weights."""
    train = torch.cat([torch.linspace(0, 1, 40), torch.linspace(100, 101, 40)])[:, None]
    draw = torch.Generator().manual_seed(3)
    held_out = torch.cat([torch.rand(30, 1, generator=draw), 100 + torch.rand(90, 1, generator=draw)])
    samples = torch.cat([0.97 * torch.rand(50, 1, generator=draw) - 0.005, 100 + torch.rand(25, 1, generator=draw)])
    scores = []
    for low in (-50, 50):
        nearest = [
            (of[(of > low) & (of < low + 100)][:, None] - train.T).abs().amin(dim=1).double().numpy()
            for of in (samples, held_out)
        ]
        test = stats.mannwhitneyu(*nearest, method="asymptotic", use_continuity=False, alternative="less")
        scores.append(stats.norm.ppf(test.pvalue))
    weighted = 0.25 * scores[0] + 0.75 * scores[1]
    c_t, p = data_copying(samples, train, held_out, cells=2)
    assert c_t == pytest.approx(weighted, abs=1e-6)
    assert p == pytest.approx(stats.norm.cdf(weighted / math.hypot(0.25, 0.75)), abs=1e-6)
    assert abs(p - stats.norm.cdf(c_t)) > 0.005  # what it is not: the p of one standard normal


def test_c_t_needs_enough_images_in_a_cell() -> None:
    train, held_out, fresh = splits("mixture")
    with pytest.raises(NotMeasurable, match="c_t: no cell holds 20 samples and 20 held-out images"):
        data_copying(fresh[:25], train, held_out[:25], cells=8)


def test_cells_find_separated_clusters_and_are_repeatable() -> None:
    centres = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0], [50.0, 50.0]])
    points = centres.repeat(50, 1) + torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
    cells = assign_cells(points, fit_cells(points, 4, seed=3))
    assert all(len(cells[i::4].unique()) == 1 for i in range(4))
    assert len(cells.unique()) == 4
    assert torch.equal(fit_cells(points, 4, seed=3), fit_cells(points, 4, seed=3))
    assert fit_cells(torch.zeros(10, 2), 3).isfinite().all()


def test_the_gap_is_near_zero_for_new_images_and_not_for_copies() -> None:
    train, held_out, fresh = splits("digits")
    new = frechet_gap(GaussianStatistics.from_features(fresh), *split_reference(train, held_out))
    copied = frechet_gap(GaussianStatistics.from_features(train[:300]), *split_reference(train[:300], held_out))
    assert copied > 5 * abs(new)


def test_the_gap_compares_references_of_one_size() -> None:
    train, held_out = split_reference(mixture(1000, 1), mixture(150, 2), parts=4)
    assert {part.count for part in train + held_out} == {150}
    assert (len(train), len(held_out)) == (4, 1)


def test_held_out_images_are_never_compared_with_themselves() -> None:
    """The `real` control draws from the held-out split: against itself it would copy, and its gap be far below zero."""
    train, held_out, fresh = splits("digits")
    pool = torch.cat([fresh, held_out])
    honest = Evidence(samples=pool, reference=train, held_out=pool, samples_held_out=True)
    blind = Evidence(samples=pool, reference=train, held_out=pool)
    for halving in range(3):
        rows = torch.arange(len(pool))
        first, second = honest.sides(rows, rows, halving)
        assert len(first) == len(second) == len(pool) // 2
        assert not set(first.tolist()) & set(second.tolist())
    assert blind.sides(train, pool) == (train, pool)
    names = ("authenticity", "data_copying", "frechet_gap")
    found, against_itself = ({k: v for n in names for k, v in METRICS[n].compute(e).items()} for e in (honest, blind))
    assert min(found["authenticity_p"], found["c_t_p"]) > 0.05
    assert found["c_t"] != 0.0
    assert against_itself["c_t"] == 0.0
    assert abs(found["fd_gap"]) < -0.3 * against_itself["fd_gap"]


def test_a_control_of_three_images_cannot_be_halved() -> None:
    train, held_out, _ = splits("mixture")
    few = Evidence(samples=held_out[:3], reference=train, held_out=held_out[:3], samples_held_out=True)
    with pytest.raises(NotMeasurable, match="fd_gap: needs at least 4 held-out images to halve, got 3"):
        METRICS["frechet_gap"].compute(few)


def one_hot(labels: Tensor, classes: int = 10) -> Tensor:
    return 9.0 * torch.nn.functional.one_hot(labels, classes)


def test_a_generator_that_drops_three_of_ten_classes_is_caught() -> None:
    generator = torch.Generator().manual_seed(1)
    data, fair = (torch.randint(10, (1000,), generator=generator) for _ in range(2))
    collapsed = torch.randint(7, (1000,), generator=generator)
    collapsed[:2] = 9  # a classifier's errors
    found = {
        name: METRICS["class_coverage"].compute(
            Evidence(
                samples=torch.zeros(1000, 2),
                reference=torch.zeros(1000, 2),
                sample_logits=one_hot(labels),
                reference_logits=one_hot(data),
            )
        )
        for name, labels in (("fair", fair), ("collapsed", collapsed))
    }
    assert found["fair"]["class_coverage"] == 1.0
    assert found["fair"]["class_kl"] < 0.02
    assert found["collapsed"]["class_coverage"] == pytest.approx(0.7)
    assert found["collapsed"]["class_kl"] == pytest.approx(math.log(10 / 7), abs=0.03)


def test_the_divergence_is_zero_for_equal_histograms_and_finite_for_disjoint_ones() -> None:
    left, right = class_histogram(one_hot(torch.tensor([0, 0, 1]))), class_histogram(one_hot(torch.tensor([2, 3])))
    assert class_divergence(left, left) == 0.0
    assert 5 < class_divergence(left, right) < math.inf
    assert class_coverage(left, right) == 0.0
    assert class_coverage(left, left) == 1.0


@pytest.mark.parametrize(
    ("modes", "expected"), [([0, 1, 2, 3], (4, 1.0)), ([-1, -1], (0, 0.0)), ([2, 2, 2, -1], (1, 0.75))]
)
def test_modes_are_counted(modes: list[int], expected: tuple[int, float]) -> None:
    assert mode_counts(torch.tensor(modes), mode_count=4) == expected


def test_a_mode_beyond_the_count_is_refused() -> None:
    with pytest.raises(ValueError, match="modes: index 4 found, but there are 4 modes"):
        mode_counts(torch.tensor([4]), mode_count=4)


def of_classes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Three classes in four dimensions, each a normal distribution about a mean of its own."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    return torch.randn(count, 4, generator=draw) + 6.0 * labels[:, None], labels


def test_the_distance_by_class_is_the_mean_of_each_class_s_own() -> None:
    """A shift of one class by 3 along one axis moves its distance by 9, and the mean by 3."""
    data, labels = of_classes(300, 0)
    moved = data + 3.0 * (labels == 1)[:, None] * torch.tensor([1.0, 0.0, 0.0, 0.0])
    evidence = Evidence(samples=moved, reference=data, sample_labels=labels, reference_labels=labels)
    found = METRICS["class_frechet"].compute(evidence)
    assert found == pytest.approx({"class_fd": 3.0, "class_fd_worst": 9.0}, abs=1e-4)


def test_labels_that_a_model_ignores_show_by_class_alone() -> None:
    data, labels = of_classes(300, 0)
    samples, asked = of_classes(300, 1)
    heeded = Evidence(samples=samples, reference=data, sample_labels=asked, reference_labels=labels)
    ignored = Evidence(samples=samples, reference=data, sample_labels=asked.roll(1), reference_labels=labels)
    whole, by_class = METRICS["frechet_distance"], METRICS["class_frechet"]
    assert whole.compute(heeded) == whole.compute(ignored)
    assert by_class.compute(heeded)["class_fd"] < 1
    # 6 in each of four coordinates between neighbours, twice that once: 144, 144 and 576.
    assert by_class.compute(ignored)["class_fd"] == pytest.approx(288, rel=0.05)
    assert by_class.compute(ignored)["class_fd_worst"] == pytest.approx(576, rel=0.05)


def test_the_classifier_labels_samples_that_nobody_asked_for_and_a_class_too_few_is_named() -> None:
    data, labels = of_classes(300, 0)
    seen = 9.0 * torch.nn.functional.one_hot(labels, 3)
    metric, fields = METRICS["class_frechet"], {"samples": data, "reference": data, "reference_labels": labels}
    assert metric.compute(Evidence(**fields, sample_logits=seen))["class_fd"] == pytest.approx(0, abs=1e-6)
    dropped = torch.where(labels == 2, 0, labels)
    with pytest.raises(NotMeasurable, match="class_fd: class 2 has 0 samples and 100 images of the data, at least 20"):
        metric.compute(Evidence(**fields, sample_labels=dropped))
    with pytest.raises(NotMeasurable, match="class_fd: needs labels of the samples, or a classifier of the data's 3"):
        metric.compute(Evidence(**fields, sample_logits=torch.zeros(300, 1008)))
