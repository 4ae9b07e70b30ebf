"""The number by which a run notices that weights changed, or that ranks differ."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from genbench.training.checksum import checksum

AT_ONCE = 2**17
DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.int64, torch.int32),
    *(torch.int16, torch.uint8, torch.bool),
)


def some(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(3))
    return values > 0 if dtype == torch.bool else (values * 50).abs().to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_one_value_that_changes_changes_it(dtype: torch.dtype) -> None:
    values = some(3, 4, dtype=dtype)
    sums = {int(checksum(values))}
    for row, column in itertools.product(range(3), range(4)):
        other = values.clone()
        other[row, column] = ~other[row, column] if dtype == torch.bool else other[row, column] + 1
        sums.add(int(checksum(other)))
    assert len(sums) == 13


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.flip(0),
        lambda values: values.flip(1),
        lambda values: values.flip(0, 1),
        lambda values: values.roll(1, 0),
        lambda values: values.roll(1, 1),
        lambda values: values.mT,
        lambda values: values[[1, 0, 2, 3]],
        lambda values: values[:, [0, 1, 3, 2]],
        lambda values: -values,
        lambda values: values * 2,
    ],
    ids=["rows flipped", "columns flipped", "both", "rows", "columns", "transposed", "2 rows", "2 columns", "-", "x2"],
)
def test_values_that_change_places_or_signs_change_it(change, dtype: torch.dtype) -> None:
    values = some(4, 4, dtype=dtype)
    assert checksum(change(values)) != checksum(values)


def test_kernels_of_a_convolution_that_are_flipped_change_it() -> None:
    weights = some(5, 3, 2, 2)
    sums = {int(checksum(weights))} | {int(checksum(weights.flip(dim))) for dim in range(4)}
    assert len(sums) == 5


def test_every_order_of_a_few_small_numbers_has_its_own() -> None:
    orders = list(itertools.permutations([1.0, 2.0, 3.0, 4.0, -1.0, 0.0]))
    assert len({int(checksum(torch.tensor(order).view(2, 3))) for order in orders}) == len(orders) == 720


def test_signs_that_change_in_pairs_change_it() -> None:
    signs = list(itertools.product([1.0, -1.0], repeat=8))
    assert len({int(checksum(torch.tensor(each).view(2, 4))) for each in signs}) == 256


@pytest.mark.parametrize("place", [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE, 2 * AT_ONCE + 4])
def test_large_tensors_are_summed_in_parts_whose_order_matters(place: int) -> None:
    values = torch.zeros(2 * AT_ONCE + 5)
    sums = {int(checksum(values))}
    for at in (place, (place + AT_ONCE) % len(values), (place + 1) % len(values)):
        values.zero_()[at] = 1
        sums.add(int(checksum(values)))
    assert len(sums) == 4


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_layout_in_memory_does_not_matter(dtype: torch.dtype) -> None:
    values = some(4, 6, dtype=dtype)
    assert checksum(values.T.contiguous().T) == checksum(values)
    assert checksum(values[::2, ::3]) == checksum(values[::2, ::3].clone())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_tensor_stays_as_it_was(dtype: torch.dtype) -> None:
    values = some(4, 6, dtype=dtype)
    before = values.clone()
    assert checksum(values) == checksum(before)
    assert torch.equal(values, before)


def test_numbers_and_empty_tensors_have_one_too() -> None:
    assert checksum(torch.tensor(2.0)) != checksum(torch.tensor(3.0))
    assert int(checksum(torch.empty(0, 3))) == 0
    found = checksum(some(2, 2))
    assert (found.dtype, found.shape) == (torch.int64, ())
