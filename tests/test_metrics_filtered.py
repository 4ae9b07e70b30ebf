"""Sweeps whose products are float32: what they find equals what the float64 ones find, whatever the features."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genbench.machine.precision import float32_precision, set_float32_precision
from genbench.metrics import filtered_block, near, neighbours
from genbench.metrics.blocks import Block, Memory
from genbench.metrics.filtered import Filter
from genbench.metrics.filtered_block import FilteredBlock, Side
from genbench.metrics.fld import feature_likelihood_divergence
from genbench.metrics.kid import from_sums, kernel_distance
from genbench.metrics.kid_sums import PairSums
from genbench.metrics.near import NearSearch
from genbench.metrics.neighbours import is_filtered, nearest_neighbours, sweep
from genbench.metrics.observers import Balls, ClippedBalls
from genbench.metrics.pairs import CrossPairs, SelfPairs, cross_pairs, kid_rows, self_pairs
from genbench.metrics.rbf import RbfSums
from genbench.metrics.resampling import kernel_standard_error

BUDGETS = (1, 2**29)  # blocks of 16, which do not divide the counts, and a single block


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def grid(count: int, dimension: int, seed: int) -> Tensor:
    """Points of a small grid: most distances equal others, and most points have copies."""
    return torch.randint(0, 3, (count, dimension), generator=torch.Generator().manual_seed(seed)).float()


def heavy(count: int, dimension: int, seed: int) -> Tensor:
    return draw(count, dimension, seed=seed) / draw(count, 1, seed=seed + 50).abs().clamp(min=1e-3)


NEAR = draw(75, 40) * 3  # copies of some, moved by about the error of float32
CASES = {
    "normal": (draw(75, 40), draw(90, 40, seed=1)),
    "ReLU": (draw(75, 300).relu(), draw(90, 300, seed=1).relu()),
    "heavy tails": (heavy(75, 30, 0), heavy(90, 30, 1)),
    "all equal": (torch.full((75, 5), 3.25), torch.full((90, 5), 3.25)),
    "few values": (grid(75, 3, 0), grid(90, 3, 1)),
    "one dimension": (draw(75, 1), draw(90, 1, seed=1)),
    "whole numbers on a line": (torch.arange(75.0)[:, None], torch.arange(90.0).flip(0)[:, None]),
    "far from the origin": (1e4 + 1e-3 * draw(75, 64), 1e4 + 1e-3 * draw(90, 64, seed=1)),
    "one far out": (torch.cat([draw(74, 8), torch.full((1, 8), 1e7)]), draw(90, 8, seed=1)),
    "clusters as narrow as the error": (
        grid(75, 6, 0) * 100 + 1e-4 * draw(75, 6),
        grid(90, 6, 1) * 100 + 1e-4 * draw(90, 6, seed=1),
    ),
    "two clusters as narrow as the error": tuple(
        1e-3 * draw(count, 6, seed=count) + 100.0 * (torch.arange(count) % 64 < 32)[:, None] - 50 for count in (75, 90)
    ),
    "blocks with fewer points than neighbours": (draw(17, 3), draw(34, 3, seed=1)),
    "copies": (NEAR, torch.cat([NEAR.flip(0), draw(15, 40, seed=1)])),
    "near copies": (NEAR * (1 + 3e-6), torch.cat([NEAR.flip(0), draw(15, 40, seed=1)])),
    "float64": (draw(75, 20).double() + 1e-9, draw(90, 20, seed=1).double()),
    "float16": (draw(75, 20).half(), draw(90, 20, seed=1).half()),
    "far smaller than 1": (draw(75, 20) * 1e-7, draw(90, 20, seed=1) * 1e-7),
    "far larger than 1": (draw(75, 20) * 1e15, draw(90, 20, seed=1) * 1e15),
    "some far smaller": (draw(75, 20) * torch.logspace(-20, 0, 75)[:, None], draw(90, 20, seed=1) * 1e-3),
}


def both(samples: Tensor, reference: Tensor, k: int, budget: int, *, filtered: bool) -> tuple[SelfPairs, CrossPairs]:
    """Both sweeps, with radii that are found in float64 and so lie exactly on distances."""
    own, known = (self_pairs(side, k, byte_budget=budget, filtered=False).distances for side in (samples, reference))
    radii = {"sample_radii": own[:, k // 2], "manifold_radii": known[:, k // 2], "ball_radii": known[:, -1]}
    found = self_pairs(samples, k, kernel=True, byte_budget=budget, filtered=filtered)
    return found, cross_pairs(samples, reference, **radii, kernel=True, byte_budget=budget, filtered=filtered)


def check_equal(samples: Tensor, reference: Tensor, k: int, budget: int) -> None:
    own, across = both(samples, reference, k, budget, filtered=True)
    exact_own, exact_across = both(samples, reference, k, budget, filtered=False)
    for name in ("balls", "held", "clipped_balls", "sample_inside", "reference_inside"):
        assert torch.equal(getattr(across, name), getattr(exact_across, name)), name
    norms = samples.double().square().sum(dim=1)
    for found, exact in (
        (own.distances, exact_own.distances),
        (across.nearest[0], exact_across.nearest[0]),
    ):
        rounding = 1e-14 * (norms[:, None] if found.ndim == 2 else norms)  # of float64 products
        assert ((found.square() - exact.square()).abs() <= 1e-9 * exact.square() + rounding).all()
    for found, exact in ((own, exact_own), (across, exact_across)):
        torch.testing.assert_close(found.kid_rows, exact.kid_rows, rtol=1e-4, atol=1e-30)
    # The neighbours are at these distances, each once, never the point itself; among equal ones any may be named.
    at = (samples.double()[:, None] - samples.double()[own.indices]).square().sum(dim=2).sqrt()
    noise = 5e-7 * samples.double().norm(dim=1, keepdim=True)
    assert ((at - own.distances).abs() <= 1e-7 * at + noise).all()
    assert all(len(set(row)) == k and place not in row for place, row in enumerate(own.indices.tolist()))
    gaps = exact_own.distances.diff(dim=1, append=torch.full((len(samples), 1), torch.inf, dtype=torch.float64))
    lone = (gaps > 1e-6 * exact_own.distances) & (gaps.roll(1, 1) > 1e-6 * exact_own.distances)
    assert torch.equal(own.indices[:, 1:-1][lone[:, 1:-1]], exact_own.indices[:, 1:-1][lone[:, 1:-1]])


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", CASES)
def test_what_is_found_equals_what_float64_products_give(name: str, budget: int) -> None:
    check_equal(*CASES[name], k=5, budget=budget)


@pytest.mark.parametrize("name", CASES)
def test_so_it_is_where_each_pair_is_decided_by_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in large blocks, of which few pairs are undecided; here too many are, and a product would decide them all."""
    monkeypatch.setattr(filtered_block, "_MOST_NEAR", 1)
    check_equal(*CASES[name], k=5, budget=1)


def test_so_it_is_where_only_some_blocks_are_decided_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of both sides are at one place: blocks of these are, and of the others the pairs that are near."""
    samples, reference = draw(600, 12), draw(900, 12, seed=1)
    samples[200:400] = reference[300:600] = 2.5
    near: list[int | None] = []
    search = FilteredBlock.near

    def noted(block: FilteredBlock, *limits: Tensor | None) -> tuple[Tensor, Tensor, Tensor] | None:
        found = search(block, *limits)
        near.append(None if found is None else len(found[0]))
        return found

    monkeypatch.setattr(FilteredBlock, "near", noted)
    check_equal(samples, reference, k=3, budget=(48 * 200**2 + 16 * 200 * 12) * 3 // 2 + 2)  # blocks of 200
    assert near.count(None) > 3
    assert sum(1 for pairs in near if pairs) > 5


@pytest.mark.parametrize("name", CASES)
def test_no_squared_distance_is_below_zero(name: str) -> None:
    least = []

    class Least:
        def observe(self, block: Block) -> None:
            least.extend(float(block.squared_of(strip).min()) for strip in block.strips())

    left, right = CASES[name]
    sweep(left, right, [Least()], 1, filtered=True)
    assert min(least) >= 0


@settings(max_examples=25, deadline=None)
@given(
    counts=st.tuples(st.integers(7, 40), st.integers(7, 40)),
    dimension=st.integers(1, 5),
    k=st.integers(1, 6),
    offset=st.sampled_from([0.0, 1.0, 2.0**9, 2.0**16]),
    scale=st.sampled_from([2.0**-10, 1.0, 2.0**10]),
    seed=st.integers(0, 99),
)
def test_so_it_is_on_any_small_grid(
    counts: tuple[int, int], dimension: int, k: int, offset: float, scale: float, seed: int
) -> None:
    """Of whole numbers of powers of two, whose float64 products are exact."""
    samples, reference = (grid(count, dimension, seed + side) * scale + offset for side, count in enumerate(counts))
    check_equal(samples, reference, k, budget=1)


@pytest.mark.parametrize("budget", BUDGETS)
def test_neighbours_that_are_lacking_are_at_infinity_and_nowhere(budget: int) -> None:
    points = torch.tensor([[0.0], [4.0]])
    distances, indices = nearest_neighbours(points, torch.tensor([[1.0]]), 3, budget, filtered=True)
    assert distances.tolist() == [[1.0, torch.inf, torch.inf], [3.0, torch.inf, torch.inf]]
    assert indices.tolist() == [[0, -1, -1], [0, -1, -1]]
    distances, indices = nearest_neighbours(points, points, 2, budget, filtered=True)
    assert distances.tolist() == [[4.0, torch.inf]] * 2
    assert indices.tolist() == [[1, -1], [0, -1]]


def test_copies_are_at_distance_zero() -> None:
    points = draw(400, 300) * 50 + 10
    distances, indices = nearest_neighbours(points[:100].clone(), points, filtered=True)
    assert torch.equal(distances, torch.zeros(100, 1, dtype=torch.float64))
    assert torch.equal(indices[:, 0], torch.arange(100))


class Intervals:
    """Observer: the ends of the interval that contains each squared distance, and the error of its middle."""

    def __init__(self, left: Tensor, right: Tensor) -> None:
        sides = left.double(), right.double()
        self._true = torch.cdist(*sides, compute_mode="donot_use_mm_for_euclid_dist").square()
        self.wrong = 0
        self.largest = 0.0  # of error over half of the interval

    def observe(self, block: Block) -> None:
        assert isinstance(block, FilteredBlock)
        true = self._true[block.rows, block.columns]
        half = block.left.slack[block.rows, None] + block.right.slack[block.columns]
        squared = torch.cat([block.squared_of(strip) for strip in block.strips()])
        self.wrong += int(((squared - true).abs() > half).sum())
        self.wrong += int((block.lower > true).sum() + (block.lower + 2 * half < true).sum())
        self.largest = max(self.largest, float(((block.lower + half - true).abs() / half).max()))


@pytest.mark.parametrize("name", [name for name in CASES if name != "all equal"])
def test_every_distance_is_in_its_interval(name: str) -> None:
    left, right = CASES[name]
    for other in (left, right):
        intervals = Intervals(left, other)
        sweep(left, other, [intervals], 1, filtered=True)
        assert intervals.wrong == 0
        assert intervals.largest < 1


@pytest.mark.parametrize(("dimension", "least"), [(1, 0.02), (2048, 0.0005)])
def test_the_interval_is_not_wider_than_it_has_to_be_by_much(dimension: int, least: float) -> None:
    """The bound is proven for the worst order of the worst roundings; those of sums happen to cancel."""
    left, right = draw(300, dimension).exp(), draw(300, dimension, seed=1).exp()
    intervals = Intervals(left, right)
    sweep(left, right, [intervals], filtered=True)
    assert least < intervals.largest < 1


def first_block(count: int) -> FilteredBlock:
    """The only block of some points and others, of which every sixteenth is far from the centre: its slack is large."""
    left, right = draw(count, 9), draw(count, 9, seed=1)
    right[::16] *= 100
    block = next(Filter(left, right, count).blocks())
    assert block.lower.shape == (count, count)
    return block


@pytest.mark.parametrize(
    ("count", "k", "groups"),
    [(5, 2, 5), (48, 1, 2), (129, 1, 2), (500, 3, 8), (512, 1, 2), (512, 3, 8), (512, 4, 8), (512, 5, 16)],
)
def test_distances_to_the_nearest_are_bounded_by_the_least_of_groups(count: int, k: int, groups: int) -> None:
    """Of up to 16 columns at first, and of more where fewer groups are enough for k neighbours."""
    block = first_block(count)
    left, right = block.left.slack, block.right.slack
    for lower, own, other, found in (
        (block.lower.double(), left, right, block.row_upper(k)),
        (block.lower.double().T, right, left, block.column_upper(k)),
    ):
        first = min(count, 8 * math.ceil(count / 128))  # groups, whose members share the largest slack
        ends = torch.stack([lower[:, g::first].amin(dim=1) + 2 * other[g::first].max() for g in range(first)], dim=1)
        merged = torch.stack([ends[:, g::groups].amin(dim=1) for g in range(groups)], dim=1)
        expected = merged.sort(dim=1).values[:, :k] + 2 * own[:, None]
        torch.testing.assert_close(found, expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_no_bound_is_below_the_distance_to_that_neighbour(k: int) -> None:
    block = first_block(512)
    left, right = (side.features.double() for side in (block.left, block.right))
    true = torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist").square()
    for upper, nearest in ((block.row_upper(k), true), (block.column_upper(k), true.T)):
        assert upper.shape == (512, k)
        assert (upper >= nearest.sort(dim=1).values[:, :k]).all()


def test_limits_are_rounded_up() -> None:
    limits = torch.rand(10_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).exp2() * 3
    found = filtered_block._rounded_up(limits).double()
    assert (found > limits).all()
    assert (found < limits * (1 + 2.0**-21)).all()


def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count the pairs that are decided in float64, and the blocks whose products are."""
    counts = {"pairs": 0, "blocks": 0}
    found, distances = Memory.found, near.squared_distances

    def count_blocks(self: Memory, *parts: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
        counts["blocks"] += 1
        return found(self, *parts)

    def count_pairs(left: Side, right: Side, rows: Tensor, columns: Tensor) -> Tensor:
        counts["pairs"] += len(rows)
        return distances(left, right, rows, columns)

    monkeypatch.setattr(Memory, "found", count_blocks)
    monkeypatch.setattr(near, "squared_distances", count_pairs)
    return counts


def test_few_pairs_of_ordinary_features_are_decided_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, reference = draw(700, 512).relu(), draw(600, 512, seed=1).relu()
    radii = self_pairs(reference, 5, filtered=False).distances
    limits = {"manifold_radii": radii[:, 2], "ball_radii": radii[:, 4]}
    own = self_pairs(samples, 5, filtered=False)
    counts = counted(monkeypatch)
    self_pairs(samples, 5, filtered=True)
    assert counts["blocks"] == 0
    least = len({frozenset(pair) for row, places in enumerate(own.indices.tolist()) for pair in product([row], places)})
    assert least <= counts["pairs"] < 2 * least
    counts["pairs"] = 0
    across = torch.cdist(samples.double(), reference.double())
    near = (across <= own.distances[:, 2:3]) | (across <= radii[:, 4]) | (across == across.amin(dim=1, keepdim=True))
    cross_pairs(samples, reference, sample_radii=own.distances[:, 2], **limits, filtered=True)
    assert counts["blocks"] == 0
    assert near.sum() <= counts["pairs"] < 1.01 * near.sum()


def test_pairs_wait_until_most_are_too_far_unless_too_many_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """In 6 blocks, each of which has the two nearest of some points: the more of them are known, the fewer matter."""
    points = draw(900, 64).relu()
    budget = (48 * 300**2 + 16 * 300 * 64) * 3 // 2 + 2  # two thirds hold blocks of 300
    exact = nearest_neighbours(points, points, 2, filtered=False)
    counts = counted(monkeypatch)
    decided = []
    for most in (2**20, 0):
        monkeypatch.setattr(near, "_MOST", most)
        counts["pairs"] = 0
        distances, indices = nearest_neighbours(points, points, 2, budget, filtered=True)
        decided.append(counts["pairs"])
        torch.testing.assert_close(distances, exact[0], rtol=1e-9, atol=0)
        assert torch.equal(indices, exact[1])
    assert counts["blocks"] == 0
    pairs = len({frozenset(pair) for row, places in enumerate(exact[1].tolist()) for pair in product([row], places)})
    assert pairs <= decided[0] < 2 * pairs
    assert decided[1] > 1.3 * decided[0]


def test_where_float32_decides_nothing_blocks_are_float64_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    points = 1e4 + 1e-3 * draw(70, 64)
    counts = counted(monkeypatch)
    self_pairs(points, 5, byte_budget=1, filtered=True)
    assert counts["blocks"] == 5 * 6 / 2  # of 16, once for both orders


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e19])
def test_features_that_float32_cannot_multiply_are_left_to_float64(scale: float) -> None:
    points = draw(60, 4) * scale
    found, exact = (self_pairs(points, 3, kernel=True, filtered=choice) for choice in (True, False))
    for field in dataclasses.fields(found):
        assert torch.equal(getattr(found, field.name), getattr(exact, field.name))


def test_one_side_that_float32_cannot_multiply_is_enough() -> None:
    near, far = draw(20, 4) * 1e17, torch.cat([draw(20, 4, seed=1) * 1e17, draw(6, 4, seed=2) * 1e25])
    for left, right in ((near, far), (far, near)):
        found, exact = (nearest_neighbours(left, right, len(right), filtered=choice) for choice in (True, False))
        assert all(map(torch.equal, found, exact))


def test_the_size_of_a_sweep_chooses_its_products(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_filtered(8192, 8192, 2048)
    assert not is_filtered(8192, 8191, 2048)
    points = draw(40, 8)
    seen: list[bool] = []

    class Kind:
        def observe(self, block: Block) -> None:
            seen.append(isinstance(block, FilteredBlock))

    for least in (40 * 40 * 8, 40 * 40 * 8 + 1):
        monkeypatch.setattr(neighbours, "FILTERED_FROM", least)
        sweep(points, points, [Kind()])
    assert seen == [True, False]


def test_no_setting_makes_the_products_less_than_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    during: list[str] = []
    product = torch.mm

    def noted(left: Tensor, right: Tensor, *, out: Tensor) -> Tensor:
        during.append(torch.backends.mkldnn.matmul.fp32_precision)
        return product(left, right, out=out)

    monkeypatch.setattr(torch, "mm", noted)
    before = float32_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        sweep(draw(9, 3), draw(8, 3), [], filtered=True)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        set_float32_precision(before)
    assert during == ["ieee"]


@pytest.mark.parametrize(("filtered", "expected"), [(True, True), (False, False), (None, True)])
def test_neighbours_alone_need_no_float64_products(
    filtered: bool | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[bool] = []
    make = neighbours.Filter
    monkeypatch.setattr(neighbours, "Filter", lambda *parts: used.append(True) or make(*parts))
    nearest_neighbours(draw(9, 3), draw(8, 3), filtered=filtered)
    assert self_pairs(draw(9, 3), 2, filtered=filtered).kid_rows is None
    limits = {name: torch.ones(9) for name in ("sample_radii", "manifold_radii", "ball_radii")}
    assert cross_pairs(draw(9, 3), draw(9, 3), **limits, filtered=filtered).kid_rows is None
    assert used == [True] * 3 * expected


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize(("left", "right"), [(0, 4), (4, 0), (0, 0)])
def test_an_empty_side_has_no_neighbours(left: int, right: int, filtered: bool) -> None:
    distances, indices = nearest_neighbours(draw(left, 3), draw(right, 3), 2, filtered=filtered)
    assert distances.tolist() == [[torch.inf] * 2] * left
    assert indices.tolist() == [[-1] * 2] * left


@pytest.mark.parametrize("decided", ["alone", "as a whole", "in float64"])
def test_samples_that_are_the_reference_itself_count_like_their_copy(
    decided: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep then shows each pair of blocks once, for both orders."""
    monkeypatch.setattr(filtered_block, "_MOST_NEAR", 1 if decided == "alone" else 0)
    points = draw(70, 4)
    radii = self_pairs(points, 5).distances
    limits = {"sample_radii": radii[:, 2], "manifold_radii": radii[:, 1], "ball_radii": radii[:, 4]}
    same, copied = (
        cross_pairs(points, other, **limits, byte_budget=1, filtered=decided != "in float64")
        for other in (points, points.clone())
    )
    for field in ("sample_inside", "reference_inside", "balls", "held", "clipped_balls"):
        assert torch.equal(getattr(same, field), getattr(copied, field)), field
    assert same.balls.sum() > 70


def test_one_observer_without_limits_hides_no_pair_from_another() -> None:
    samples, reference = draw(300, 3), draw(300, 3, seed=1)
    radii = self_pairs(reference, 5).distances[:, 4]
    alone, beside = Balls(300, radii), Balls(300, radii)
    sweep(samples, reference, [alone], filtered=True)
    everything = ClippedBalls(300, torch.full((300,), torch.inf, dtype=torch.float64))
    sweep(samples, reference, [beside, everything], filtered=True)
    assert torch.equal(beside.balls, alone.balls)
    assert everything.balls.tolist() == [300] * 300


def test_as_many_pairs_wait_as_the_byte_budget_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[int] = []
    settle = NearSearch.settle

    def noted(search: NearSearch) -> None:
        settled.append(search._count)
        settle(search)

    monkeypatch.setattr(NearSearch, "settle", noted)
    points = draw(3000, 8)
    budget = 2**20
    nearest_neighbours(points, points.clone(), 5, budget)
    most = budget // near._PAIR_BYTES
    assert len(settled) > 2
    assert all(most < count < 2 * most for count in settled[:-1])
    nearest_neighbours(points, points.clone(), 5)
    assert settled[-1] > most


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_faulty_features_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"^right features: 1 of 9 rows contain NaN or infinity$"):
        sweep(draw(9, 3), draw(9, 3).index_fill(0, torch.tensor([4]), bad), [], filtered=True)


@pytest.mark.parametrize("tails", ["like Inception", "heavy"])
def test_the_error_of_kid_is_far_below_its_standard_error(tails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On samples of the data's own distribution, where kid is 0 but for its standard error."""
    make = {"like Inception": lambda seed: draw(600, 512, seed=seed).abs() / 2, "heavy": lambda s: heavy(600, 512, s)}
    samples, reference = make[tails](3), make[tails](4)
    exact = kernel_distance(samples, reference)
    radii = {name: torch.ones(600) for name in ("sample_radii", "manifold_radii", "ball_radii")}
    both = kid_rows(samples, samples), kid_rows(samples, reference)
    error = kernel_standard_error(PairSums(*both, 600).contrasts)
    monkeypatch.setattr(neighbours, "FILTERED_FROM", 0)
    assert 0 < abs(kernel_distance(samples, reference) - exact) < error * 1e-5
    within, among = (self_pairs(side, 1, kernel=True).kid_rows for side in (samples, reference))
    across = cross_pairs(samples, reference, **radii, kernel=True).kid_rows
    found = from_sums(within.sum(), across.sum(), among.sum(), 600, 600)
    assert found == kernel_distance(samples, reference)


@pytest.mark.parametrize("budget", BUDGETS)
def test_gaussian_kernels_are_summed_over_both_orders(budget: int) -> None:
    samples, reference = draw(75, 40), draw(90, 40, seed=1)
    for other in (samples, reference):
        sums = {choice: RbfSums(75, 3.0) for choice in (True, False)}
        for choice, observer in sums.items():
            sweep(samples, other, [observer], budget, filtered=choice)
        torch.testing.assert_close(sums[True].rows, sums[False].rows, rtol=1e-6, atol=0)


def test_fld_is_summed_from_float64_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = [draw(120, 6, seed=seed) for seed in range(3)]
    before = feature_likelihood_divergence(*sides)
    monkeypatch.setattr(neighbours, "FILTERED_FROM", 0)
    assert feature_likelihood_divergence(*sides) == before


@pytest.mark.parametrize("offset", [0, 100])
def test_a_sweep_stays_within_its_byte_budget(offset: int) -> None:
    """In a process of its own; at the offset, where nothing is decided, all blocks are float64 ones too."""
    program = f"""
        import resource, torch
        from genbench.metrics.observers import Balls
        from genbench.metrics.neighbours import Nearest, sweep
        features = torch.randn(4000, 64) * (1e-4 if {offset} else 1) + {offset}
        sweep(features[:64], features, [Nearest(64)], filtered=True)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        observers = [Nearest(4000, 5), Balls(4000, torch.ones(4000).double())]
        sweep(features, features.clone(), observers, 16 * 2**20, filtered=True)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 40
