"""Sums of the KID kernel from third moments: equal to the sums over pairs, and used where they are faster."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from genbench.metrics import Evidence, ReferenceStatistics, kid, pairs
from genbench.metrics import evidence as evidence_module
from genbench.metrics import reference as reference_module
from genbench.metrics.kid import kernel_distance
from genbench.metrics.kid_sums import MomentSums, PairSums
from genbench.metrics.mmd import unit_rows
from genbench.metrics.pairs import kid_rows, share_products, sums_float32
from genbench.metrics.resampling import kernel_standard_error
from genbench.metrics.standard_errors import standard_error
from genbench.metrics.third_moments import (
    moments_pay,
    row_sums,
    self_kernel,
    sum_of_distinct,
    third_moments,
    total,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def kernel(left: Tensor, right: Tensor) -> Tensor:
    return (left.double() @ right.double().T / left.shape[1] + 1) ** 3


@pytest.mark.parametrize("dimension", [1, 2, 3, 4, 5, 6, 7, 8, 17])
@pytest.mark.parametrize(("count", "others"), [(1, 5), (1024, 1025), (30, 2100)])
def test_sums_equal_those_over_pairs(count: int, others: int, dimension: int) -> None:
    left, right = normal(count, dimension) + 0.3, normal(others, dimension, seed=1)
    of_left, of_right = third_moments(left), third_moments(right)
    exact = kernel(left, right)
    near = {"rtol": 1e-12, "atol": 1e-12 * float(exact.abs().sum())}
    torch.testing.assert_close(row_sums(left, of_right), exact.sum(dim=1), **near)
    torch.testing.assert_close(total(of_left, of_right, dimension), exact.sum(), **near)
    torch.testing.assert_close(total(of_right, of_left, dimension), exact.sum(), **near)
    torch.testing.assert_close(self_kernel(left), kernel(left, left).diagonal(), rtol=1e-12, atol=0)
    distinct = kernel(left, left).fill_diagonal_(0)
    torch.testing.assert_close(sum_of_distinct(left, of_left), distinct.sum(), **near)


def test_a_fifth_of_the_moments_is_computed_in_an_order_that_changes_with_the_version_of_what_is_stored() -> None:
    assert (ReferenceStatistics.VERSION, len(third_moments(normal(2, 64)))) == (6, 54_465)
    assert 54_465 / 65**3 < 0.2


def test_moments_of_two_sets_add_and_weigh_each_row() -> None:
    left, right, queries = normal(20, 6), normal(35, 6, seed=1), normal(9, 6, seed=2)
    both = third_moments(left) / 3 - 2 * third_moments(right)
    expected = kernel(queries, left).sum(dim=1) / 3 - 2 * kernel(queries, right).sum(dim=1)
    torch.testing.assert_close(row_sums(queries, both), expected, rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(third_moments(left) + third_moments(right), third_moments(torch.cat([left, right])))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_features_of_any_precision_are_summed_in_float64(dtype: torch.dtype) -> None:
    features = normal(40, 5).to(dtype)
    found = row_sums(features, third_moments(features))
    assert found.dtype == self_kernel(features).dtype == torch.float64
    torch.testing.assert_close(found, kernel(features, features).sum(dim=1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("count", "dimension", "pays"),
    [
        *((1023, 1, False), (1024, 1, True), (1024, 45, True), (1057, 46, False), (1058, 46, True), (1104, 47, True)),
        *((8191, 128, False), (8192, 128, True), (1_000_000, 129, False)),
    ],
)
def test_moments_pay_from_half_the_square_of_the_dimension_on_up_to_128(count: int, dimension: int, pays: bool) -> None:
    assert moments_pay(count, dimension) == pays


@pytest.mark.parametrize(("items", "dimension", "shared"), [(8191, 128, True), (8192, 128, False), (2048, 127, False)])
def test_no_sweep_sums_what_moments_give(items: int, dimension: int, shared: bool) -> None:
    assert share_products(10, items, dimension) == shared


@pytest.mark.parametrize(
    ("kernel_name", "samples", "reference", "dimension", "expected"),
    [
        ("cubic", 50_000, 50_000, 64, False),
        ("gaussian", 50_000, 50_000, 64, True),
        ("cubic", 50_000, 50_000, 512, True),
        ("cubic", 50_000, 2_000, 64, True),  # too few in the reference for moments
        ("cubic", 3_000, 3_000, 2048, False),
        ("gaussian", 3_000, 3_000, 64, False),
    ],
)
def test_products_are_float32_only_where_pairs_are_many_and_no_moments_replace_them(
    kernel_name: str, samples: int, reference: int, dimension: int, expected: bool
) -> None:
    assert sums_float32(kernel_name, samples, reference, dimension) == expected


def by_pairs(samples: Tensor, reference: Tensor) -> tuple[float, float]:
    """Return kid and its standard error, from one estimate without each sample."""
    m, n = len(samples), len(reference)
    within, across = kernel(samples, samples).fill_diagonal_(0), kernel(samples, reference)
    among = kernel(reference, reference).fill_diagonal_(0).sum() / (n * (n - 1))

    def estimate(kept: Tensor) -> float:
        k = int(kept.sum())
        return float(
            within[kept][:, kept].sum() / (k * (k - 1)) + among - 2 * across[kept].sum() / (k * n),
        )

    everyone = torch.arange(m)
    left_out = torch.tensor([estimate(everyone != i) for i in range(m)], dtype=torch.float64)
    error = math.sqrt((m - 1) / m * float((left_out - left_out.mean()).square().sum()))
    return estimate(everyone >= 0), error


def test_kid_and_its_error_of_many_items_are_those_over_pairs_without_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, reference = normal(120, 5) + 0.2, normal(1024, 5, seed=1)
    value, error = by_pairs(samples, reference)
    for module in (pairs, evidence_module, kid, reference_module):
        for name in {"sweep", "kid_rows", "self_pairs", "cross_pairs"} & vars(module).keys():
            monkeypatch.setattr(module, name, None)
    evidence = Evidence(samples=samples, reference=reference)
    assert isinstance(evidence.kid_sums, MomentSums)
    assert kid.measure(evidence)["kid"] == pytest.approx(value, rel=1e-11)
    assert standard_error("kid", evidence) == pytest.approx(error, rel=1e-9)
    assert kernel_distance(samples, reference) == kid.measure(evidence)["kid"]


def test_kid_of_few_items_is_summed_over_pairs() -> None:
    samples, reference = normal(120, 5) + 0.2, normal(1023, 5, seed=1)
    value, error = by_pairs(samples, reference)
    evidence = Evidence(samples=samples, reference=reference)
    assert isinstance(evidence.kid_sums, PairSums)
    assert "kernel_moments" not in evidence.statistics.tensors
    assert kid.measure(evidence)["kid"] == pytest.approx(value, rel=1e-11)
    assert standard_error("kid", evidence) == pytest.approx(error, rel=1e-9)
    assert kernel_distance(samples, reference) == kid.measure(evidence)["kid"]


def test_moments_of_the_data_are_kept_for_all_models() -> None:
    reference = normal(1100, 4, seed=1)
    first = ReferenceStatistics(reference)
    expected = kernel(reference, reference).fill_diagonal_(0).sum()
    torch.testing.assert_close(first.kernel_sum, expected, rtol=1e-12, atol=0)
    assert set(first.tensors) == {"kernel_sum", "kernel_moments"}
    doubled = ReferenceStatistics(reference, tensors={"kernel_moments": 2 * first.kernel_moments})
    twice = Evidence(samples=normal(7, 4), reference=reference, statistics=doubled)
    once = Evidence(samples=normal(7, 4), reference=reference, statistics=first)
    assert float(twice.kid_sums.across) == pytest.approx(2 * float(once.kid_sums.across), rel=1e-12)


@pytest.mark.parametrize(("dimension", "offset"), [(16, 0.0), (16, 0.4), (16, 20.0), (46, 100.0), (46, 1000.0)])
def test_what_moments_round_is_far_below_the_standard_error(dimension: int, offset: float) -> None:
    """On samples of the data's own distribution, where kid is 0 but for its standard error."""
    samples, reference = normal(500, dimension) + offset, normal(1100, dimension, seed=1) + offset
    rows = [kid_rows(left, right) for left, right in ((samples, samples), (samples, reference), (reference, reference))]
    exact = kid.from_sums(*(row.sum() for row in rows), 500, 1100)
    error = kernel_standard_error(PairSums(rows[0], rows[1], 1100).contrasts)
    assert abs(kernel_distance(samples, reference) - exact) < 1e-8 * error


def test_the_error_of_the_biased_discrepancy_leaves_out_one_sample_after_the_other() -> None:
    samples, reference = normal(15, 4), normal(20, 4, seed=1)
    rows = unit_rows(Evidence(samples=samples, reference=reference))
    left_out = torch.tensor(
        [
            unit_rows(Evidence(samples=samples[torch.arange(15) != i], reference=reference)).biased
            for i in range(len(samples))
        ],
        dtype=torch.float64,
    )
    slow = math.sqrt(14 / 15 * float((left_out - left_out.mean()).square().sum()))
    assert kernel_standard_error(rows.contrasts(biased=True)) == pytest.approx(slow, rel=1e-9)
