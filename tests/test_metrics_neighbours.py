"""Nearest neighbours, precision and recall, density and coverage: brute force, closed forms, ties, memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genbench.metrics import blocks, neighbours
from genbench.metrics.authenticity import authenticity
from genbench.metrics.blocks import Block, squared_norms
from genbench.metrics.data_copying import data_copying
from genbench.metrics.density_coverage import density_coverage, expected_coverage
from genbench.metrics.kid import kernel_distance
from genbench.metrics.neighbours import Nearest, nearest_neighbours, sweep
from genbench.metrics.observers import Balls, KernelSums, Manifolds
from genbench.metrics.pairs import cross_pairs, self_pairs
from genbench.metrics.precision_recall import precision_recall


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Count:
    """Counts how often a sweep shows each pair."""

    def __init__(self, left: int, right: int) -> None:
        self.pairs = torch.zeros(left, right)
        self.squared = torch.zeros(left, right, dtype=torch.float64)

    def observe(self, block: Block) -> None:
        squared = torch.cat([block.squared_of(strip) for strip in block.strips()])
        self.pairs[block.rows, block.columns] += 1
        self.squared[block.rows, block.columns] = squared
        if block.mirrored:
            self.pairs[block.columns, block.rows] += 1
            self.squared[block.columns, block.rows] = squared.T


@pytest.mark.parametrize("byte_budget", [1, 10_000, 2**29])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_sweep_shows_each_pair_once_with_its_distance(byte_budget: int, symmetric: bool) -> None:
    left = normal(53, 4)
    right = left if symmetric else normal(35, 4, seed=1)
    seen = Count(len(left), len(right))
    sweep(left, right, [seen], byte_budget)
    assert (seen.pairs == 1).all()
    expected = (left.double()[:, None] - right.double()).square().sum(dim=2)
    torch.testing.assert_close(seen.squared, expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(
    count=st.integers(6, 60),
    k=st.integers(1, 5),
    budget=st.sampled_from([1, 2**29]),
    filtered=st.booleans(),
    seed=st.integers(0, 50),
)
def test_neighbours_are_those_of_brute_force(count: int, k: int, budget: int, filtered: bool, seed: int) -> None:
    points = normal(count, 3, seed=seed)
    squared = (points.double()[:, None] - points.double()).square().sum(dim=2).fill_diagonal_(torch.inf)
    expected = squared.sqrt().topk(k, dim=1, largest=False)
    distances, indices = nearest_neighbours(points, points, k, budget, filtered=filtered)
    torch.testing.assert_close(distances, expected.values, rtol=1e-6, atol=1e-9)
    assert torch.equal(indices, expected.indices)


def test_missing_neighbours_are_at_infinity_and_without_an_index() -> None:
    distances, indices = nearest_neighbours(torch.tensor([[0.0], [4.0]]), torch.tensor([[1.0]]), k=3)
    assert distances.tolist() == [[1.0, torch.inf, torch.inf], [3.0, torch.inf, torch.inf]]
    assert indices.tolist() == [[0, -1, -1], [0, -1, -1]]
    nearest = Nearest(2)
    points = torch.tensor([[0.0], [4.0]])
    sweep(points, points, [nearest])
    assert [nearest.distances.tolist(), nearest.indices.tolist()] == [[[0.0], [0.0]], [[0], [1]]]
    found = nearest_neighbours(points, torch.tensor([[1.0], [2.5]]))
    assert [part.tolist() for part in found] == [[[1.0], [1.5]], [[0], [1]]]


def test_the_largest_blocks_that_fit_the_budget_are_taken() -> None:
    """A block of size s takes six matrices of s² and two of s·d numbers of 8 bytes, with s between 16 and 1024."""
    for dimension, budget in ((64, 2**20), (2048, 2**25), (1, 12_345_678)):
        size = blocks.block_size(dimension, budget)
        needed = [48 * s**2 + 16 * s * dimension for s in (size, size + 1)]
        assert needed[0] <= budget < needed[1]
        assert 16 < size < 1024
    assert (blocks.block_size(64, 1), blocks.block_size(64, 2**40)) == (16, 1024)


def test_copies_are_at_distance_zero_though_the_product_rounds() -> None:
    points = normal(400, 300) * 50 + 10
    distances, indices = nearest_neighbours(points[:100].clone(), points)
    assert torch.equal(distances, torch.zeros(100, 1, dtype=torch.float64))
    assert torch.equal(indices[:, 0], torch.arange(100))


def test_a_far_outlier_does_not_hide_small_distances() -> None:
    points = torch.cat([normal(50, 4), torch.full((1, 4), 1e7)])
    distances, _ = nearest_neighbours(points[:50], points[:50].clone() + 0.25)
    direct, _ = nearest_neighbours(points[:50], torch.cat([points[:50] + 0.25, points[50:]]))
    torch.testing.assert_close(distances, direct)
    assert (direct > 0).all()


def test_one_distribution_has_density_one_and_the_expected_coverage() -> None:
    assert expected_coverage(1000, 1000, k=5) == pytest.approx(0.96898, abs=5e-6)
    found = torch.tensor([density_coverage(normal(1000, 8, seed=s), normal(1000, 8, seed=s + 50)) for s in range(6)])
    assert found.mean(dim=0).tolist() == pytest.approx([1.0, expected_coverage(1000, 1000)], abs=0.02)


@pytest.mark.parametrize(("samples", "reference"), [(300, 100), (100, 300)])
def test_coverage_follows_its_closed_form_at_unequal_counts(samples: int, reference: int) -> None:
    found = [density_coverage(normal(samples, 5, seed=s), normal(reference, 5, seed=s + 90), k=3)[1] for s in range(30)]
    assert sum(found) / 30 == pytest.approx(expected_coverage(samples, reference, k=3), abs=0.02)


def test_a_manifold_s_balls_hold_their_surface_and_those_of_density_do_not() -> None:
    data, outside = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[-1.0], [20.0]])  # -1 is as far from 0 as 1
    assert precision_recall(outside, data, k=1)[0] == 0.5
    assert precision_recall(data, outside, k=1)[1] == 0.5
    assert density_coverage(outside, data, k=1) == (0.0, 0.0)
    assert density_coverage(outside * 0.99, data, k=1) == (0.5, pytest.approx(1 / 3))
    alike = torch.zeros(4, 2)  # balls of radius 0
    assert precision_recall(alike[:3], alike, k=2) == (1.0, 1.0)
    assert density_coverage(alike[:3], alike, k=2) == (0.0, 0.0)


def test_a_few_balls_of_radius_0_hold_their_surface_in_a_block_of_many() -> None:
    """Only the columns that any row reaches are compared: 3 of 30."""
    data = torch.cat([torch.zeros(3, 2), 100 + normal(27, 2)])
    radii = torch.cat([torch.zeros(3), torch.full((27,), 0.1)]).double()
    samples = torch.zeros(2, 2)
    found = cross_pairs(samples, data, sample_radii=radii[:2], manifold_radii=radii, ball_radii=radii)
    assert found.sample_inside.tolist() == [True, True]
    assert found.reference_inside.tolist() == [True] * 3 + [False] * 27
    assert found.clipped_balls.tolist() == [3, 3]
    assert found.balls.tolist() == [0, 0]


def test_counts_of_balls_are_whole_numbers() -> None:
    radii = torch.ones(3, dtype=torch.float64)
    found = cross_pairs(
        torch.zeros(2, 1), torch.zeros(3, 1), sample_radii=radii[:2], manifold_radii=radii, ball_radii=radii
    )
    for counts, expected in ((found.balls, [3, 3]), (found.held, [2, 2, 2]), (found.clipped_balls, [3, 3])):
        assert counts.dtype == torch.int64
        assert counts.tolist() == expected


def test_disjoint_sets_share_nothing() -> None:
    samples, reference = normal(50, 3) + 100, normal(60, 3, seed=1)
    assert precision_recall(samples, reference) == (0.0, 0.0)
    assert density_coverage(samples, reference) == (0.0, 0.0)


def test_copies_of_everything_share_all() -> None:
    points = normal(80, 5)
    assert precision_recall(points.clone(), points) == (1.0, 1.0)
    density, coverage = density_coverage(points.clone(), points, k=5)
    # On average each copy is inside its own ball and k − 1 others: the k-th lies on the surface, which is outside.
    assert (density, coverage) == pytest.approx((1.0, 1.0))


def test_ties_do_not_depend_on_the_blocks() -> None:
    """Copies lie exactly on the surface of balls, where the last bit of a product would decide."""
    points = normal(200, 64, seed=3) * 7 + 2
    copies = points[torch.randperm(200, generator=torch.Generator().manual_seed(1))[:90]]
    found = {
        (precision_recall(copies, points, byte_budget=b), density_coverage(copies, points, byte_budget=b))
        for b in (1, 300_000, 2**29)
    }
    assert len(found) == 1


def test_precision_falls_with_noise_and_recall_with_collapse() -> None:
    reference = normal(400, 4, seed=1)
    noisy = [precision_recall(normal(400, 4) * scale, reference)[0] for scale in (1.0, 2.0, 4.0)]
    assert noisy == sorted(noisy, reverse=True)
    narrow = [precision_recall(normal(400, 4) * scale, reference)[1] for scale in (1.0, 0.5, 0.1)]
    assert narrow == sorted(narrow, reverse=True)
    assert precision_recall(normal(400, 4) * 0.1, reference)[0] > 0.95


def test_one_outlier_moves_precision_and_not_density() -> None:
    """Naeem et al. 2020, figure 1: the ball of an outlier in the data contains samples far from all other data."""
    reference = torch.cat([normal(200, 4, seed=1), torch.full((1, 4), 30.0)])
    away = normal(100, 4) + 12
    assert precision_recall(away, reference)[0] == 1.0
    assert density_coverage(away, reference)[0] < 0.5


@pytest.mark.parametrize("permuted", [precision_recall, density_coverage])
def test_the_order_of_images_does_not_matter(permuted) -> None:
    samples, reference = normal(120, 3), normal(100, 3, seed=1) * 1.5
    assert permuted(samples.flip(0), reference.roll(7, 0)) == pytest.approx(permuted(samples, reference), abs=1e-12)


def test_the_side_that_is_faulty_is_named() -> None:
    for left, right, message in (
        (normal(9, 3) / 0, normal(9, 3), "^left features: 9 of 9 rows"),
        (normal(9, 3), normal(9, 2), "^right features: expected 3 features per image, got 2"),
        (normal(9, 3), normal(9, 3) / 0, "^right features: 9 of 9 rows"),
    ):
        with pytest.raises(ValueError, match=message):
            sweep(left, right, [])


@pytest.mark.parametrize("bad", [torch.full((9, 3), torch.nan), torch.zeros(9, 2), torch.zeros(9)])
def test_faulty_features_are_refused(bad: Tensor) -> None:
    for metric in (precision_recall, density_coverage):
        with pytest.raises(ValueError, match="features: ") as caught:
            metric(bad, normal(9, 3))
        assert "\n" not in str(caught.value)


def test_observers_are_on_the_device_of_the_features() -> None:
    """Checked on the meta device, since an accelerator may not be available."""
    meta = torch.device("meta")
    radii = torch.ones(4, dtype=torch.float64, device=meta)
    for observer in (KernelSums(4, 3, meta), Nearest(4, 2, device=meta), Manifolds(radii, radii), Balls(4, radii)):
        assert {found.device for found in vars(observer).values() if isinstance(found, Tensor)} == {meta}


def test_a_byte_budget_reaches_every_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def block_size(dimension: int, byte_budget: int) -> int:
        asked.append(byte_budget)
        return 16

    monkeypatch.setattr(neighbours, "block_size", block_size)
    samples, reference, radii = normal(30, 2), normal(40, 2, seed=1), torch.ones(40, dtype=torch.float64)
    for metric in (kernel_distance, precision_recall, density_coverage, authenticity):
        metric(samples, reference, byte_budget=12345)
    data_copying(samples, reference, samples + 0.1, cells=1, byte_budget=12345)
    self_pairs(samples, 2, byte_budget=12345)
    cross_pairs(samples, reference, sample_radii=radii[:30], manifold_radii=radii, ball_radii=radii, byte_budget=12345)
    assert set(asked) == {12345, 12345 * 2 // 3}  # the latter where a third is kept for float64 products


def test_a_sweep_stays_within_its_byte_budget() -> None:
    """In a separate process, since this one has already peaked: 4,000² distances are 122 MiB, the budget is 16."""
    program = """
        import resource, torch
        from genbench.metrics.observers import Balls
        from genbench.metrics.neighbours import Nearest, sweep
        features = torch.randn(4000, 64)
        sweep(features[:64], features, [Nearest(64)])  # what the first product allocates for good
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sweep(features, features.clone(), [Nearest(4000, 5), Balls(4000, torch.ones(4000).double())], 16 * 2**20)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 40


def grid(count: int, seed: int) -> Tensor:
    """Points on a small grid: most distances occur several times, and most points have copies."""
    return torch.randint(0, 3, (count, 3), generator=torch.Generator().manual_seed(seed)).float()


ADVERSARIAL = {
    "normal": (normal(90, 4), normal(110, 4, seed=1)),
    "equal distances and copies": (grid(90, 0), grid(110, 1)),
    "small distances far from the origin": (grid(90, 2) / 1024 + 512, grid(110, 3) / 1024 + 512),
    "huge": (normal(90, 4) * 1e15, normal(110, 4, seed=1) * 1e15),
    "mostly far apart": (torch.cat([normal(85, 4), normal(5, 4) + 1e3]), normal(110, 4, seed=1) + 1e3),
}


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_what_is_skipped_in_a_block_changes_no_count(name: str, filtered: bool) -> None:
    """Compared with all distances, each from differences, for blocks of 16, most of which hold nothing of interest."""
    samples, reference = ADVERSARIAL[name]

    def squared(left: Tensor, right: Tensor) -> Tensor:
        return (left.double()[:, None] - right.double()).square().sum(dim=2)

    own, known, across = squared(samples, samples), squared(reference, reference), squared(samples, reference)
    radii = [one.fill_diagonal_(torch.inf).sort(dim=1).values.sqrt() for one in (own, known)]
    for points, expected in zip((samples, reference), radii, strict=True):
        found_radii = self_pairs(points, 5, byte_budget=1, filtered=filtered)
        torch.testing.assert_close(found_radii.distances, expected[:, :5], rtol=1e-6, atol=0)
        at_found = squared(points, points).sqrt().gather(1, found_radii.indices)
        torch.testing.assert_close(at_found, found_radii.distances, rtol=1e-6, atol=0)
        assert all(len(set(row)) == 5 and place not in row for place, row in enumerate(found_radii.indices.tolist()))
    manifold, ball = radii[1][:, 2], radii[1][:, 4]
    limits = {"sample_radii": radii[0][:, 2], "manifold_radii": manifold, "ball_radii": ball}
    found = cross_pairs(samples, reference, **limits, byte_budget=1, filtered=filtered)
    torch.testing.assert_close(found.nearest[0], across.amin(dim=1).sqrt(), rtol=1e-6, atol=0)
    inside = across < ball.square() * (1 - 1e-9)
    assert torch.equal(found.balls, inside.sum(dim=1))
    assert torch.equal(found.held, inside.sum(dim=0))
    clipped = ball.minimum(ball.quantile(0.5)).square() * (1 + 1e-9)
    assert torch.equal(found.clipped_balls, (across <= clipped).sum(dim=1))
    assert torch.equal(found.sample_inside, (across <= manifold.square() * (1 + 1e-9)).any(dim=1))
    within = across <= (radii[0][:, 2].square() * (1 + 1e-9))[:, None]
    assert torch.equal(found.reference_inside, within.any(dim=0))


@pytest.mark.parametrize("byte_budget", [1, 2**29])
def test_what_was_found_in_one_block_stands_after_the_next(byte_budget: int) -> None:
    """Blocks share their memory, and the kernel of a large block is summed in strips."""
    points = torch.arange(200.0)[:, None]
    nearest, kernel = Nearest(200, 2, exclude_self=True), KernelSums(200, 1)
    sweep(points, points, [nearest, kernel], byte_budget)
    assert nearest.squared[1:-1].tolist() == [[1.0, 1.0]] * 198
    assert nearest.squared[0].tolist() == nearest.squared[-1].tolist() == [1.0, 4.0]
    places = torch.arange(200, dtype=torch.float64)
    every = (places[:, None] * places + 1) ** 3
    torch.testing.assert_close(kernel.rows, every.fill_diagonal_(0).sum(dim=1))


def test_norms_leave_features_of_double_precision_as_they_are() -> None:
    features = normal(7, 3).double()
    before = features.clone()
    torch.testing.assert_close(squared_norms(features, 2), (before * before).sum(dim=1))
    assert torch.equal(features, before)
