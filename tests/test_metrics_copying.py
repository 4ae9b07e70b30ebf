"""Memorisation and collapse: a copycat is flagged and real images are not; dropped classes and modes are detected."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits
from torch import Tensor

from genbench.metrics import METRICS, Evidence, NotMeasurable
from genbench.metrics.authenticity import authenticity, fewer_authentic_p
from genbench.metrics.cells import _lloyd, _norms, _start, assign_cells, fit_cells
from genbench.metrics.class_coverage import class_coverage, class_divergence
from genbench.metrics.class_frechet import class_distances
from genbench.metrics.class_histogram import class_histogram
from genbench.metrics.data_copying import data_copying, in_cells, mann_whitney_z
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.frechet_gap import frechet_gap
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.modes import mode_counts
from genbench.metrics.reference_parts import split_reference


def mixture(count: int, seed: int) -> Tensor:
    """Samples of a fixed mixture of eight Gaussians in 8 dimensions."""
    centres = 4 * torch.randn(8, 8, generator=torch.Generator().manual_seed(77))
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(8, (count,), generator=generator)
    return centres[chosen] + torch.randn(count, 8, generator=generator)


def digits() -> Tensor:
    pixels = torch.from_numpy(load_digits().data).float()
    return pixels[torch.randperm(len(pixels), generator=torch.Generator().manual_seed(5))]


def splits(data: str) -> tuple[Tensor, Tensor, Tensor]:
    """Training images, held-out images, and as many fresh images as held-out ones."""
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
    """This is what makes copies dangerous: the Fréchet distance of a copycat is no larger than that of fresh images."""
    train, _, fresh = splits("digits")
    copies = Evidence(samples=train[200:500], reference=train)
    real = Evidence(samples=fresh, reference=train)
    assert METRICS["frechet_distance"].compute(copies)["fd"] < 1.1 * METRICS["frechet_distance"].compute(real)["fd"]


def test_the_tests_are_calibrated_on_fresh_images() -> None:
    """Over repeated draws of all three sets, p < 0.05 occurs about one time in twenty, far less than one in five."""
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


def test_a_tie_is_not_authentic() -> None:
    train = torch.tensor([[0.0], [1.0], [5.0]])
    assert authenticity(torch.tensor([[-1.0], [-1.001]]), train) == 0.5  # 1 is as far from 0 as -1
    assert authenticity(torch.zeros(2, 1), torch.zeros(3, 1)) == 0.0  # copies of an image that the data repeat


@pytest.mark.parametrize("table", [(5, 20, 12, 20), (0, 300, 0, 200), (50, 50, 1, 60), (3, 1000, 30, 900)])
def test_the_p_of_authenticity_is_fisher_s(table: tuple[int, int, int, int]) -> None:
    a, m, b, h = table
    expected = stats.fisher_exact([[a, m - a], [b, h - b]], alternative="less").pvalue
    assert fewer_authentic_p(torch.arange(m) < a, torch.arange(h) < b) == pytest.approx(expected, rel=1e-9)


def test_the_table_s_p_is_of_the_two_sides_authentic_shares() -> None:
    train, held_out, samples = mixture(60, 1), mixture(50, 2), mixture(40, 3)
    radii = torch.cdist(train, train).fill_diagonal_(torch.inf).amin(dim=1)
    for of_control in (False, True):
        evidence = Evidence(samples=samples, reference=train, held_out=held_out, samples_held_out=of_control, seed=2)
        found = METRICS["authenticity"].compute(evidence)
        nearest = [torch.cdist(images, train).min(dim=1) for images in (samples, held_out)]
        flags = [of.values > radii[of.indices] for of in nearest]
        assert found["authenticity"] == pytest.approx(float(flags[0].double().mean()))
        if of_control:
            order = torch.randperm(50, generator=torch.Generator().manual_seed(2))
            flags = [flags[1][half] for half in order.split(25)]
        assert 0 < flags[1].double().mean() < 1
        assert found["authenticity_p"] == pytest.approx(fewer_authentic_p(*flags))


def test_a_cell_counts_from_the_least_count_on_and_the_p_is_one_sided() -> None:
    near, far = torch.arange(20.0) / 20, torch.arange(20.0) / 20 + 0.3
    z = mann_whitney_z(near, far)
    cells = torch.zeros(20, dtype=torch.int64)
    assert in_cells(near, cells, far, cells) == pytest.approx((z, stats.norm.cdf(z)))
    alone = in_cells(near, cells, torch.cat([far, far]), torch.cat([cells, cells + 1]))  # no samples in cell 1
    assert alone == pytest.approx((z, stats.norm.cdf(z)))
    assert in_cells(near, cells + 2, far, cells + 2) == pytest.approx((z, stats.norm.cdf(z)))  # the last of three
    for few, many in ((19, 20), (20, 19)):
        with pytest.raises(NotMeasurable, match=r"^c_t: no cell holds 20 samples and 20 held-out items"):
            in_cells(near[:few], cells[:few], far[:many], cells[:many])
    with pytest.raises(NotMeasurable, match="c_t: no cell"):
        in_cells(near, cells + 3, far, cells + 3)


def test_no_p_is_above_one_whatever_the_rounding() -> None:
    """Where all samples are authentic, every possible table has at most as many, so p is exactly 1."""
    found = [
        fewer_authentic_p(torch.ones(drawn, dtype=torch.bool), torch.arange(others) < others // 2)
        for drawn in range(2, 40, 3)
        for others in range(2, 40, 3)
    ]
    assert max(found) == 1.0
    assert min(found) == pytest.approx(1.0)


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
    two_values = mann_whitney_z(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 1.0]))
    assert two_values == pytest.approx((3 - 4.5) / math.sqrt(9 / 12 * (7 - 1.6)))
    assert mann_whitney_z(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])) == pytest.approx(-2 / math.sqrt(5 / 3))


def test_the_p_of_c_t_is_that_of_the_weighted_sum_of_its_cells() -> None:
    """Computed with SciPy's Mann–Whitney test in two cells of 30 and 90 held-out images: Stouffer's weighted test."""
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
    assert abs(p - stats.norm.cdf(c_t)) > 0.005  # it is not the p of one standard normal


def test_c_t_is_of_the_cells_the_least_count_and_the_seed_that_were_asked_for() -> None:
    train, held_out, fresh = (images[:count] for images, count in zip(splits("mixture"), (1000, 70, 60), strict=True))
    centroids = fit_cells(train, 6, seed=3)
    cells = [assign_cells(images, centroids) for images in (fresh, held_out)]
    nearest = [torch.cdist(images.double(), train.double()).amin(dim=1) for images in (fresh, held_out)]
    scores, weights = [], []
    for cell in range(6):
        inside, outside = (of[which == cell] for of, which in zip(nearest, cells, strict=True))
        if min(len(inside), len(outside)) >= 3:
            scores.append(mann_whitney_z(inside, outside))
            weights.append(len(outside))
    assert min(weights) < 20
    expected = sum(w * z for w, z in zip(weights, scores, strict=True)) / sum(weights)
    assert data_copying(fresh, train, held_out, cells=6, least=3, seed=3)[0] == pytest.approx(expected, rel=1e-6)


def test_the_table_s_c_t_is_that_of_the_function_alone() -> None:
    """The data have no clusters, so their cells depend on where k-means starts."""
    draw = torch.Generator().manual_seed(4)
    train, held_out, samples = (torch.randn(count, 6, generator=draw) for count in (300, 150, 130))
    numbers = METRICS["data_copying"].compute(Evidence(samples=samples, reference=train, held_out=held_out))
    assert (numbers["c_t"], numbers["c_t_p"]) == pytest.approx(data_copying(samples, train, held_out), rel=1e-9)
    assert data_copying(samples, train, held_out, seed=1)[0] != pytest.approx(numbers["c_t"], rel=1e-3)


def test_c_t_needs_enough_images_in_a_cell() -> None:
    train, held_out, fresh = splits("mixture")
    with pytest.raises(NotMeasurable, match="c_t: no cell holds 20 samples and 20 held-out items"):
        data_copying(fresh[:25], train, held_out[:25], cells=8)


def test_cells_find_separated_clusters_and_are_repeatable() -> None:
    centres = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0], [50.0, 50.0]])
    points = centres.repeat(50, 1) + torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
    cells = assign_cells(points, fit_cells(points, 4, seed=3))
    assert all(len(cells[i::4].unique()) == 1 for i in range(4))
    assert len(cells.unique()) == 4
    assert torch.equal(fit_cells(points, 4, seed=3), fit_cells(points, 4, seed=3))
    assert fit_cells(torch.zeros(10, 2), 3).isfinite().all()


def test_k_means_starts_at_points_far_from_each_other_by_their_squared_distance() -> None:
    """Of the points 0, 1 and 3, the start after 0 is 1 one time in ten and 3 nine times in ten, and never 0 again."""
    points = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    draw = torch.Generator().manual_seed(1)
    starts = [tuple(_start(points, _norms(points), 2, draw).flatten().tolist()) for _ in range(1500)]
    firsts = [sum(start[0] == value for start in starts) for value in (0, 1, 3)]
    assert min(firsts) > 420
    assert all(first != second for first, second in starts)
    for first, second, chance in ((0, 3, 0.9), (1, 3, 0.8), (3, 0, 9 / 13)):
        share = sum(start == (first, second) for start in starts) / sum(start[0] == first for start in starts)
        assert share == pytest.approx(chance, abs=0.08)
    assert all(set(_start(points, _norms(points), 3, draw).flatten().tolist()) == {0, 1, 3} for _ in range(20))


def test_a_start_of_k_means_takes_one_number_for_each_centroid() -> None:
    points = torch.randn(30, 2, generator=torch.Generator().manual_seed(3)).double()
    found, draw = _start(points, _norms(points), 5, torch.Generator().manual_seed(7)), torch.Generator().manual_seed(7)
    chosen = [points[int(torch.randint(30, (1,), generator=draw))].numpy()]
    for _ in range(4):
        nearest = np.min([((points.numpy() - start) ** 2).sum(axis=1) for start in chosen], axis=0).cumsum()
        number = float(torch.rand(1, dtype=torch.float64, generator=draw))
        chosen.append(points[int((nearest < number * nearest[-1]).sum())].numpy())
    assert found.tolist() == np.array(chosen).tolist()


def test_cells_are_the_best_of_three_runs_and_each_centroid_is_its_cell_s_mean() -> None:
    points = torch.randn(150, 3, generator=torch.Generator().manual_seed(2))
    for seed in (0, 5):
        draw = torch.Generator().manual_seed(seed)
        order = torch.randperm(150, generator=draw)
        taken = points[order].double()
        norms = _norms(taken)
        runs = [_lloyd(taken, norms, _start(taken, norms, 5, draw)) for _ in range(3)]
        centroids = fit_cells(points, 5, seed=seed) if seed else fit_cells(points, 5)
        assert torch.equal(centroids, min(runs, key=lambda run: run[1])[0])
        assert len({cost for _, cost in runs}) == 3
        cells = assign_cells(points, centroids)
        assert torch.equal(cells, torch.cdist(points.double(), centroids).argmin(dim=1))
        means = torch.stack([points[cells == cell].double().mean(dim=0) for cell in range(5)])
        torch.testing.assert_close(centroids, means)
        cost = (points.double() - centroids[cells]).square().sum()
        assert min(cost for _, cost in runs) == pytest.approx(float(cost))


def test_a_cell_of_one_point_moves_to_it() -> None:
    points = torch.tensor([[0.0, 0.0], [10.0, 0.0]], dtype=torch.float64)
    centroids, cost = _lloyd(points, _norms(points), torch.tensor([[1.0, 1.0], [8.0, 3.0]], dtype=torch.float64))
    assert (centroids.tolist(), cost) == (points.tolist(), 0.0)


def test_a_cell_without_points_keeps_its_centroid() -> None:
    points = torch.tensor([[0.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    start = torch.tensor([[1.0, 1.0], [100.0, 50.0]], dtype=torch.float64)
    centroids, cost = _lloyd(points, _norms(points), start)
    assert centroids.tolist() == [[1.0, 0.0], [100.0, 50.0]]
    assert cost == 2.0


def test_the_gap_is_near_zero_for_new_images_and_not_for_copies() -> None:
    train, held_out, fresh = splits("digits")
    new = frechet_gap(GaussianStatistics.from_features(fresh), *split_reference(train, held_out))
    copied = frechet_gap(GaussianStatistics.from_features(train[:300]), *split_reference(train[:300], held_out))
    assert copied > 5 * abs(new)


def test_the_gap_is_the_difference_of_the_means_over_parts() -> None:
    samples, *parts = (
        GaussianStatistics.from_features(mixture(100, seed) + shift)
        for seed, shift in ((0, 0.0), (1, 1.0), (2, 2.0), (3, 0.5), (4, 3.0))
    )
    found = [frechet_distance(samples, part) for part in parts]
    assert frechet_gap(samples, parts[:1], parts[1:]) == pytest.approx(sum(found[1:]) / 3 - found[0])
    assert frechet_gap(samples, parts[:2], parts[2:]) == pytest.approx(sum(found[2:]) / 2 - sum(found[:2]) / 2)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_parts_are_disjoint_random_rows_and_those_of_the_seed(seed: int) -> None:
    train, held_out = mixture(330, 1), mixture(100, 2)
    draw = torch.Generator().manual_seed(seed)
    rows = [torch.randperm(count, generator=draw) for count in (330, 100)]
    found = split_reference(train, held_out, seed=seed) if seed else split_reference(train, held_out)
    expected = [train[rows[0][:100]], train[rows[0][100:200]]], [held_out[rows[1]]]
    for side, parts in zip(found, expected, strict=True):
        assert len(side) == len(parts)
        for statistics, part in zip(side, parts, strict=True):
            torch.testing.assert_close(statistics.mean, part.double().mean(dim=0))
            torch.testing.assert_close(statistics.covariance, part.double().T.cov())


def test_the_gap_of_held_out_samples_is_the_mean_over_halvings() -> None:
    train, held_out, _ = splits("mixture")
    evidence = Evidence(samples=held_out, reference=train, held_out=held_out, samples_held_out=True, seed=2)
    gaps = []
    for halving in range(4):
        order = torch.randperm(300, generator=torch.Generator().manual_seed(2 + halving))
        samples = GaussianStatistics.from_features(held_out[order[:150]])
        gaps.append(frechet_gap(samples, *split_reference(train, held_out[order[150:]], seed=halving)))
    assert METRICS["frechet_gap"].compute(evidence) == pytest.approx({"fd_gap": sum(gaps) / 4}, rel=1e-9)
    four = Evidence(samples=held_out[:4], reference=train, held_out=held_out[:4], samples_held_out=True)
    assert math.isfinite(METRICS["frechet_gap"].compute(four)["fd_gap"])


def test_the_table_s_gap_of_samples_is_that_of_the_function_alone() -> None:
    train, held_out, fresh = splits("mixture")
    evidence = Evidence(samples=fresh, reference=train, held_out=held_out)
    expected = frechet_gap(GaussianStatistics.from_features(fresh), *split_reference(train, held_out))
    assert METRICS["frechet_gap"].compute(evidence) == pytest.approx({"fd_gap": expected}, rel=1e-9)


def test_the_gap_compares_references_of_one_size() -> None:
    train, held_out = split_reference(mixture(1000, 1), mixture(150, 2), parts=4)
    assert {part.count for part in train + held_out} == {150}
    assert (len(train), len(held_out)) == (4, 1)


def test_held_out_images_are_never_compared_with_themselves() -> None:
    """The `real` control draws from the held-out split: against itself it would look copied, with a gap far below 0."""
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
    with pytest.raises(NotMeasurable, match="fd_gap: needs at least 4 held-out items to halve, got 3"):
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


def test_class_coverage_and_divergence_follow_their_formulas() -> None:
    data = torch.tensor([0.5, 0.3, 0.2, 0.0], dtype=torch.float64)
    samples = torch.tensor([0.9, 0.03, 0.019, 0.051], dtype=torch.float64)
    assert class_coverage(samples, data) == pytest.approx(2 / 3)  # 0.03 is a tenth of 0.3; 0.019 is less than 0.02
    assert class_coverage(samples, data, share=0.09) == 1.0
    p, q = (0.8 * side + 0.2 / 4 for side in (samples.numpy(), data.numpy()))
    assert class_divergence(samples, data, uniform_share=0.2) == pytest.approx(stats.entropy(p, q))
    p, q = (0.999 * side + 0.001 / 4 for side in (samples.numpy(), data.numpy()))
    assert class_divergence(samples, data) == pytest.approx(stats.entropy(p, q))
    with pytest.raises(ValueError, match=r"^logits: 1 of 1 rows contain NaN"):
        class_histogram(torch.tensor([[math.nan, 0.0]]))
    assert class_histogram(torch.eye(5)[[0, 1, 1, 2]]).tolist() == [0.25, 0.5, 0.25, 0, 0]


@pytest.mark.parametrize(
    ("modes", "expected"), [([0, 1, 2, 3], (4, 1.0)), ([-1, -1], (0, 0.0)), ([2, 2, 2, -1], (1, 0.75))]
)
def test_modes_are_counted(modes: list[int], expected: tuple[int, float]) -> None:
    assert mode_counts(torch.tensor(modes), mode_count=4) == expected


def test_a_mode_beyond_the_count_is_refused() -> None:
    with pytest.raises(ValueError, match="modes: index 4 found, but there are 4 modes"):
        mode_counts(torch.tensor([4]), mode_count=4)


def of_classes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Three classes in four dimensions, each a normal distribution around its own mean."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    return torch.randn(count, 4, generator=draw) + 6.0 * labels[:, None], labels


def test_the_distance_by_class_is_the_mean_of_each_class_s_own() -> None:
    """Shifting one class by 3 along one axis raises its distance by 9 and the mean by 3."""
    data, labels = of_classes(300, 0)
    moved = data + 3.0 * (labels == 1)[:, None] * torch.tensor([1.0, 0.0, 0.0, 0.0])
    evidence = Evidence(samples=moved, reference=data, sample_labels=labels, reference_labels=labels)
    found = METRICS["class_frechet"].compute(evidence)
    assert found == pytest.approx({"class_fd": 3.0, "class_fd_worst": 9.0}, abs=1e-4)


def test_a_class_that_the_data_lack_is_left_out_and_the_least_count_suffices() -> None:
    data, labels = torch.tensor([[0.0], [2.0], [10.0], [12.0]]), torch.tensor([0, 0, 2, 2])
    assert class_distances(data + 3, labels, data, labels, classes=3, least=2) == [9.0, 9.0]
    many, of = data.repeat(10, 1), labels.repeat(10)
    evidence = Evidence(samples=many + 3, reference=many, sample_labels=of, reference_labels=of)
    assert METRICS["class_frechet"].compute(evidence) == pytest.approx({"class_fd": 9.0, "class_fd_worst": 9.0})


def test_a_class_of_which_the_data_have_too_few_is_named() -> None:
    samples, labels = torch.tensor([[0.0], [2.0], [10.0], [12.0]]), torch.tensor([0, 0, 1, 1])
    with pytest.raises(NotMeasurable, match="class_fd: class 1 has 2 samples and 1 data items, needs at least 2"):
        class_distances(samples, labels, samples[:3], labels[:3], classes=2, least=2)


def test_labels_that_a_model_ignores_show_by_class_alone() -> None:
    data, labels = of_classes(300, 0)
    samples, asked = of_classes(300, 1)
    heeded = Evidence(samples=samples, reference=data, sample_labels=asked, reference_labels=labels)
    ignored = Evidence(samples=samples, reference=data, sample_labels=asked.roll(1), reference_labels=labels)
    whole, by_class = METRICS["frechet_distance"], METRICS["class_frechet"]
    assert whole.compute(heeded) == whole.compute(ignored)
    assert by_class.compute(heeded)["class_fd"] < 1
    # Two classes are off by 6 in each of four coordinates, and one by 12: distances of 144, 144 and 576.
    assert by_class.compute(ignored)["class_fd"] == pytest.approx(288, rel=0.05)
    assert by_class.compute(ignored)["class_fd_worst"] == pytest.approx(576, rel=0.05)


def test_the_classifier_labels_samples_that_nobody_asked_for_and_a_class_too_few_is_named() -> None:
    data, labels = of_classes(300, 0)
    seen = 9.0 * torch.nn.functional.one_hot(labels, 3)
    metric, fields = METRICS["class_frechet"], {"samples": data, "reference": data, "reference_labels": labels}
    assert metric.compute(Evidence(**fields, sample_logits=seen))["class_fd"] == pytest.approx(0, abs=1e-6)
    dropped = torch.where(labels == 2, 0, labels)
    with pytest.raises(NotMeasurable, match="class_fd: class 2 has 0 samples and 100 data items, needs at least 20"):
        metric.compute(Evidence(**fields, sample_labels=dropped))
    with pytest.raises(NotMeasurable, match="class_fd: needs labels of the samples, or a classifier of the data's 3"):
        metric.compute(Evidence(**fields, sample_logits=torch.zeros(300, 1008)))
