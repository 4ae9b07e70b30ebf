"""MIND, the two MMDs under a Gaussian kernel and the classifier two-sample test: closed forms, definitions, faults."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

from genbench.metrics import METRICS, Evidence, NotMeasurable, ReferenceStatistics, mind, rbf
from genbench.metrics.c2st import area_under_curve, logistic_regression, two_sample_area
from genbench.metrics.kad import kernel_audio_distance, median_distance
from genbench.metrics.mind import monge_distance, transport
from genbench.metrics.mmd import unit_mmd
from genbench.metrics.standard_errors import standard_error


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def left_out(samples: Tensor, number: Callable[[Tensor], float]) -> float:
    """The standard error by the delete-one jackknife, with one number for each sample left out."""
    kept = ~torch.eye(len(samples), dtype=torch.bool)
    found = np.array([number(samples[rows]) for rows in kept])
    return float(np.sqrt((len(found) - 1) / len(found) * ((found - found.mean()) ** 2).sum()))


def drawn(name: str, count: int, draws: int, shift: float, reference: Tensor) -> float:
    """The mean stated error divided by the number's deviation between draws of the samples, against one reference."""
    kept = ReferenceStatistics(reference)
    evidence = [
        Evidence(normal(count, reference.shape[1], seed=100 + i) + shift, reference, statistics=kept)
        for i in range(draws)
    ]
    metric = next(metric for metric in METRICS.values() if name in {value.name for value in metric.values})
    values = np.array([metric.compute(one)[name] for one in evidence])
    errors = [error for one in evidence if (error := standard_error(name, one)) is not None]
    assert len(errors) == draws
    return float(np.mean(errors) / values.std(ddof=1))


# MIND


def test_mind_between_isotropic_normals_is_three_times_their_frechet_distance() -> None:
    """Shifted by 2 and 1.5 times as wide, in 4 dimensions: 3 (4 + 4 · 0.5²)."""
    samples = normal(3000, 4) * 1.5 + 1
    assert monge_distance(samples, normal(3000, 4, seed=1), projections=1000) == pytest.approx(15, rel=0.08)


def test_mind_of_a_shift_is_the_mean_over_directions_of_what_it_is_along_them() -> None:
    samples, shift = normal(50, 6), torch.arange(6.0)
    directions = torch.randn(40, 6, generator=torch.Generator().manual_seed(3)).double()
    along = directions / directions.norm(dim=1, keepdim=True) @ shift.double()
    expected = 3 * 6 * float(along.square().mean())
    assert monge_distance(samples + shift, samples, projections=40, seed=3) == pytest.approx(expected, rel=1e-5)


def test_mind_in_one_dimension_is_three_times_the_squared_wasserstein_distance() -> None:
    """This holds for any directions; the expected value comes from the minimum-cost assignment."""
    samples, reference = normal(7, 1).double(), normal(7, 1, seed=1).double() * 2 + 1
    costs = (samples - reference.T).square().numpy()
    expected = 3 * costs[linear_sum_assignment(costs)].mean()
    assert monge_distance(samples, reference, projections=3) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("count", "others"), [(20, 9), (9, 20)])
def test_mind_takes_as_many_of_the_larger_side(count: int, others: int) -> None:
    samples, reference = normal(count, 3), normal(others, 3, seed=1)
    generator = torch.Generator().manual_seed(5)
    rows = torch.randperm(20, generator=generator)[:9]
    directions = torch.randn(11, 3, generator=generator).double().numpy()
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    x, y = (side[rows] if len(side) == 20 else side for side in (samples, reference))
    costs = [np.mean((np.sort(x.numpy() @ u) - np.sort(y.numpy() @ u)) ** 2) for u in directions]
    found = monge_distance(samples, reference, projections=11, seed=5)
    assert found == pytest.approx(9 * np.mean(costs), rel=1e-5)


def test_mind_of_one_distribution_falls_as_the_count() -> None:
    def floor(count: int) -> float:
        pairs = ((normal(count, 8, seed=s), normal(count, 8, seed=s + 50)) for s in range(8))
        return float(np.mean([monge_distance(x, y, projections=100) for x, y in pairs]))

    assert floor(100) / floor(400) == pytest.approx(4, rel=0.2)
    same = normal(30, 8)
    assert monge_distance(same, same.flip(0)) == pytest.approx(0, abs=1e-20)


def test_neither_chunks_nor_order_change_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, reference = normal(30, 5), normal(30, 5, seed=1) + 0.3
    whole = transport(samples, reference)
    monkeypatch.setattr(mind, "_CHUNK_VALUES", 70)
    monkeypatch.setattr(mind, "_ROWS", 7)
    parts = transport(samples.flip(0), reference)
    assert parts.distance == pytest.approx(whole.distance, rel=1e-9)
    assert torch.allclose(parts.influences.flip(0), whole.influences)


def test_what_a_sample_s_weight_does_to_mind_is_known_of_a_shift() -> None:
    """For N(1, 1) against N(0, 1), the potential is 3 · 2 x, up to a constant: its deviation is 6."""
    samples, reference = normal(300, 1) + 1, normal(300, 1, seed=1)
    found = transport(samples, reference, projections=1).influences
    assert float(found.mean()) == pytest.approx(0, abs=1e-9)
    assert float(found.std()) == pytest.approx(6, rel=0.15)


# MMD of unit features


@pytest.mark.parametrize(("count", "others"), [(7, 5), (6, 6)])
def test_mmd_is_the_sum_over_all_pairs_of_unit_features(count: int, others: int) -> None:
    samples, reference = normal(count, 3).double() * 7, normal(others, 3, seed=1).double()
    x, y = (side.numpy() / np.linalg.norm(side.numpy(), axis=1, keepdims=True) for side in (samples, reference))

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([[math.exp(-((p - q) @ (p - q)) / 200) for q in b] for p in a]))

    expected = 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))
    assert unit_mmd(samples, reference) == pytest.approx(expected, rel=1e-9)


def test_mmd_of_opposite_points_and_of_equal_sets() -> None:
    here = torch.tensor([[3.0, 4.0], [30.0, 40.0]])
    assert unit_mmd(here, -here) == pytest.approx(2000 * (1 - math.exp(-4 / 200)), rel=1e-6)
    samples = normal(40, 5)
    assert unit_mmd(samples, samples.flip(0)) == pytest.approx(0, abs=1e-9)
    assert unit_mmd(torch.zeros(3, 2), torch.zeros(4, 2)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_mmd_takes_no_length_for_none_however_short_or_long(scale: float) -> None:
    samples, reference = normal(30, 16), normal(40, 16, seed=1) + 0.5
    assert unit_mmd(scale * samples, reference) == pytest.approx(unit_mmd(samples, reference), rel=1e-5)
    found = METRICS["unit_discrepancy"].compute(Evidence(scale * samples, scale * reference))
    assert found["mmd"] == pytest.approx(unit_mmd(samples, reference), rel=1e-5)


def test_mmd_of_half_precision_rounds_no_further() -> None:
    samples, reference = normal(30, 16).half(), normal(40, 16, seed=1).half()
    assert unit_mmd(samples, reference) == pytest.approx(unit_mmd(samples.float(), reference.float()), rel=1e-9)


def test_the_error_of_mmd_is_that_of_leaving_samples_out() -> None:
    samples, reference = normal(100, 3) + 0.5, normal(40, 3, seed=1)
    expected = left_out(samples, lambda some: unit_mmd(some, reference))
    assert standard_error("mmd", Evidence(samples, reference)) == pytest.approx(expected, rel=1e-6)


def test_sums_of_the_kernel_are_those_of_all_pairs_in_blocks_and_strips() -> None:
    """More rows than a strip holds, and than fit into the memory allowed: a point is never paired with itself."""
    left, right = normal(300, 3).double(), normal(170, 3, seed=1).double()
    for width in (0.7, 3.0):
        kernels = [(torch.cdist(left, side).square() / (-2 * width**2)).exp().sum(dim=1) for side in (left, right)]
        for budget in (2**29, 2**16):
            assert torch.allclose(rbf.rbf_rows(left, left, width, budget), kernels[0] - 1, rtol=1e-9)
            assert torch.allclose(rbf.rbf_rows(left, right, width, budget), kernels[1], rtol=1e-9)


# KAD


@pytest.mark.parametrize(("count", "others"), [(7, 5), (6, 6)])
def test_kad_is_the_sum_over_pairs_with_the_reference_s_median_width(count: int, others: int) -> None:
    samples, reference = normal(count, 3).double(), normal(others, 3, seed=1).double()
    x, y = samples.numpy(), reference.numpy()
    apart = sorted(float(np.linalg.norm(y[i] - y[j])) for i in range(others) for j in range(i))
    width = apart[(len(apart) - 1) // 2]

    def kernel(p: np.ndarray, q: np.ndarray) -> float:
        return math.exp(-((p - q) @ (p - q)) / (2 * width**2))

    def among(side: np.ndarray) -> float:
        pairs = [(i, j) for i in range(len(side)) for j in range(len(side)) if i != j]
        return float(np.mean([kernel(side[i], side[j]) for i, j in pairs]))

    expected = 100 * (among(x) + among(y) - 2 * float(np.mean([kernel(p, q) for p in x for q in y])))
    assert kernel_audio_distance(samples, reference) == pytest.approx(expected, rel=1e-9)
    assert kernel_audio_distance(samples * 5, reference * 5) == pytest.approx(expected, rel=1e-9)


def test_kad_has_no_bias_at_small_counts() -> None:
    """All draws share a reference far larger than the samples, so its own term is close to its expectation."""
    reference = normal(1500, 2, seed=999)
    kept = ReferenceStatistics(reference)
    evidence = (Evidence(normal(5, 2, seed=s), reference, statistics=kept) for s in range(100))
    found = torch.tensor([METRICS["kernel_audio_distance"].compute(one)["kad"] for one in evidence])
    assert abs(float(found.mean())) < 4 * float(found.std()) / 10
    assert (found < 0).any()


def test_the_median_is_of_some_of_many_items() -> None:
    """The distance between two normal points in d dimensions is √2 χ_d."""
    expected = math.sqrt(2 * stats.chi2(6).median())
    assert median_distance(normal(3000, 6), items=500) == pytest.approx(expected, rel=0.03)
    assert median_distance(normal(3000, 6), items=500) != median_distance(normal(3000, 6), items=500, seed=1)


def test_data_that_are_mostly_alike_give_kad_no_width() -> None:
    reference = torch.cat([torch.ones(9, 3), normal(2, 3)])
    for alike in (reference, torch.ones(4, 3)):
        with pytest.raises(
            NotMeasurable, match=r"^kad: half of the data's pairs are equal, so its kernel has no width$"
        ):
            METRICS["kernel_audio_distance"].compute(Evidence(normal(5, 3), alike))


def test_the_error_of_kad_is_that_of_leaving_samples_out() -> None:
    samples, reference = normal(100, 3) + 0.5, normal(40, 3, seed=1)
    expected = left_out(samples, lambda some: kernel_audio_distance(some, reference))
    assert standard_error("kad", Evidence(samples, reference)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["unit_discrepancy", "kernel_audio_distance", "vendi_score"])
def test_a_second_model_pays_nothing_for_the_reference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Evidence(normal(30, 4), normal(50, 4, seed=1))
    before, stored = METRICS[name].compute(first), dict(first.statistics.tensors)
    assert stored
    sweep = rbf.sweep

    def refusing(left: Tensor, right: Tensor, *rest: object) -> None:
        assert left is not right or len(left) == 30, "the reference was computed again"
        sweep(left, right, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(rbf, "sweep", refusing)
    restored = ReferenceStatistics(first.reference, tensors=stored)
    assert METRICS[name].compute(dataclasses.replace(first, statistics=restored)) == before
    assert set(restored.tensors) == set(stored)


# The classifier two-sample test


def test_the_area_counts_pairs_and_ties_as_half() -> None:
    positive, negative = torch.tensor([0.0, 1.0, 1.0, 3.0, 5.0]), torch.tensor([1.0, 2.0, 0.0, -1.0])
    wins = [[(p > n) + (p == n) / 2 for n in negative.tolist()] for p in positive.tolist()]
    found = area_under_curve(positive, negative)
    assert found.area == pytest.approx(np.mean(wins), rel=1e-12)
    assert found.area == pytest.approx(roc_auc_score([1] * 5 + [0] * 4, [*positive.tolist(), *negative.tolist()]))
    variance = np.var(np.mean(wins, axis=1), ddof=1) / 5 + np.var(np.mean(wins, axis=0), ddof=1) / 4
    assert found.error == pytest.approx(math.sqrt(variance), rel=1e-12)
    assert area_under_curve(negative, positive).area == pytest.approx(1 - found.area)


@pytest.mark.parametrize(("shift", "penalty"), [(0.4, 1.0), (0.0, 0.1), (8.0, 2.0)])
def test_the_regression_is_scikit_learn_s(shift: float, penalty: float) -> None:
    """With a shift of 8, the sides are separable."""
    features = torch.cat([normal(40, 3).double() + shift, normal(60, 3, seed=1).double()])
    labels = (torch.arange(100) < 40).double()
    peer = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=1000).fit(features.numpy(), labels.numpy())
    found = logistic_regression(features, labels, penalty=penalty)
    assert found[:-1].numpy() == pytest.approx(peer.coef_[0], rel=1e-4, abs=1e-6)
    assert float(found[-1]) == pytest.approx(peer.intercept_[0], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("count", "others", "most"), [(41, 60, 1000), (60, 41, 1000), (60, 70, 33)])
def test_the_area_is_that_of_scikit_learn_s_regression_on_either_half(count: int, others: int, most: int) -> None:
    """The samples are drawn with the seed, the data with the next one; of an odd count, the first half has one more."""
    sides = normal(count, 3) + 0.6, normal(others, 3, seed=1) * 2
    used = min(count, others, most)
    halves = []
    for seed, side in zip((5, 6), sides, strict=True):
        rows = torch.randperm(len(side), generator=torch.Generator().manual_seed(seed))[:used]
        halves.append((side[rows[: (used + 1) // 2]].numpy(), side[rows[(used + 1) // 2 :]].numpy()))
    areas, errors = [], []
    for learnt in (0, 1):
        made, real = (side[learnt] for side in halves)
        both = np.concatenate([made, real]).astype(float)
        mean, spread = both.mean(axis=0), both.std(axis=0, ddof=1)
        peer = LogisticRegression(tol=1e-10, max_iter=1000)
        peer.fit((both - mean) / spread, [1] * len(made) + [0] * len(real))
        scores = [peer.decision_function((side[1 - learnt] - mean) / spread) for side in halves]
        areas.append(roc_auc_score([1] * len(scores[0]) + [0] * len(scores[1]), np.concatenate(scores)))
        errors.append(area_under_curve(*map(torch.from_numpy, scores)).error)
    found = two_sample_area(*sides, most=most, seed=5)
    assert found.area == pytest.approx(np.mean(areas), rel=1e-9)
    assert found.error >= 0.9 * np.mean(errors) * (1 - 1e-9)  # exactly: tests/test_metrics_c2st.py


def test_the_area_between_shifted_normals_is_known() -> None:
    """A hyperplane separates N(m, I) from N(0, I) with an area of Φ(|m|/√2)."""
    shift = torch.tensor([0.8, 0.0, 0.6, 0.0])
    found = two_sample_area(normal(3000, 4) + shift, normal(3000, 4, seed=1))
    assert found.area == pytest.approx(stats.norm.cdf(1 / math.sqrt(2)), abs=4 * found.error)
    assert found.error < 0.01


def test_one_distribution_is_at_a_half_and_a_spread_is_not_seen() -> None:
    reference = normal(2000, 3, seed=1)
    for samples in (normal(2000, 3), normal(2000, 3) * 3):  # a plane cannot tell a wide cloud from a narrow one
        found = two_sample_area(samples, reference)
        assert found.area == pytest.approx(0.5, abs=4 * found.error)


def test_each_half_is_ranked_by_what_the_other_taught() -> None:
    """In 60 dimensions, 60 items of one distribution are separable, but only within the half that was fitted."""
    found = two_sample_area(normal(60, 60), normal(60, 60, seed=1))
    assert 0.3 < found.area < 0.7


def test_units_and_constants_of_features_do_not_matter() -> None:
    samples, reference = normal(90, 3) + 0.5, normal(90, 3, seed=1)
    expected = two_sample_area(samples, reference)
    units = torch.tensor([1000.0, 0.01, 1.0])
    moved = two_sample_area(
        *(torch.cat([side * units + 7, torch.full((90, 1), 0.1)], 1) for side in (samples, reference))
    )
    assert moved.area == pytest.approx(expected.area, abs=2e-3)
    assert two_sample_area(samples, reference) == expected
    assert two_sample_area(samples, reference, seed=1) != expected
    assert two_sample_area(samples, reference, most=40) == two_sample_area(samples, reference, most=40)
    assert two_sample_area(samples, reference, most=40) != expected


def test_sides_that_do_not_overlap_or_do_not_differ_have_no_error() -> None:
    for samples, area in ((normal(120, 2) + 50, 1.0), (torch.ones(120, 2), None)):
        evidence = Evidence(samples, normal(120, 2, seed=1) if area else torch.ones(150, 2))
        assert METRICS["two_sample_test"].compute(evidence)["c2st_auc"] == (area or 0.5)
        assert standard_error("c2st_auc", evidence) is None


def test_a_classifier_needs_some_of_either_side() -> None:
    with pytest.raises(NotMeasurable, match=r"^c2st_auc: needs at least 8 samples and reference features, got 7$"):
        two_sample_area(normal(9, 2), normal(7, 2))
    assert 0 <= two_sample_area(normal(8, 2), normal(9, 2)).area <= 1


# All of them


@pytest.mark.parametrize(("name", "number"), [("monge_distance", "mind"), ("unit_discrepancy", "mmd")])
def test_the_table_gives_what_the_function_does(name: str, number: str) -> None:
    samples, reference = normal(40, 5) + 0.4, normal(60, 5, seed=1)
    function = {"mind": monge_distance, "mmd": unit_mmd}[number]
    assert METRICS[name].compute(Evidence(samples, reference)) == {number: function(samples, reference)}


@pytest.mark.parametrize("name", ["mind", "mmd", "kad", "c2st_auc"])
def test_each_grows_with_a_shift_and_with_a_mode_that_is_dropped(name: str) -> None:
    centres = torch.tensor([[0.0, 4.0], [4.0, 0.0]])
    reference = normal(400, 2, seed=1) + centres[torch.arange(400) % 2]
    metric = next(metric for metric in METRICS.values() if name in {value.name for value in metric.values})

    def number(samples: Tensor) -> float:
        return metric.compute(Evidence(samples, reference))[name]

    same = normal(400, 2) + centres[torch.arange(400) % 2]
    good, shifted, dropped = number(same), number(same + 1), number(normal(400, 2) + centres[0])
    assert good < shifted
    assert good < dropped


@pytest.mark.parametrize(("name", "count"), [("mind", 200), ("mmd", 200), ("kad", 200)])
def test_the_stated_error_is_the_deviation_between_draws(name: str, count: int) -> None:
    assert drawn(name, count, draws=40, shift=0.5, reference=normal(count, 4, seed=1)) == pytest.approx(1, abs=0.3)


def test_the_error_of_the_area_counts_the_data_s_part_too() -> None:
    """When both sides are redrawn, it is right whether or not the distributions differ."""
    for shift, least, most in ((0.0, 0.8, 1.3), (0.6, 0.9, 1.4)):
        found = [two_sample_area(normal(150, 4, seed=s) + shift, normal(150, 4, seed=s + 500)) for s in range(60)]
        deviation = np.std([area for area, _ in found], ddof=1)
        assert least < np.mean([error for _, error in found]) / deviation < most
