from __future__ import annotations

import math
from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genbench.report.formatting import amount, interval, memory, p_value, percent, plain


@pytest.mark.parametrize(
    ("mean", "half_width", "shown"),
    [
        (23.1417, 2.391, "23.1 ± 2.4"),
        (23.1417, 0.0996, "23.14 ± 0.10"),
        (23.1417, 9.96, "23 ± 10"),
        (99.97, 0.996, "100.0 ± 1.0"),
        (12345.6, 1234.5, "12,300 ± 1,200"),
        (23.0, 190.0, "20 ± 190"),
        (-0.01, 2.4, "0.0 ± 2.4"),
        (0.0123456, 0.00212, "0.0123 ± 0.0021"),
        (1.2345e-9, 2.1e-10, "(1.23 ± 0.21)e-9"),
        (23.1417, 0.0, "23.14 ± 0"),
        (23.1417, None, "23.14"),
        (0.02, 0.0, "0.02 ± 0"),
        (math.nan, None, "–"),
        (math.nan, math.nan, "–"),
        (None, None, "–"),
        (math.inf, None, "∞"),
    ],
)
def test_interval(mean: float | None, half_width: float | None, shown: str) -> None:
    assert interval(mean, half_width) == shown


@given(st.floats(-1e9, 1e9), st.floats(1e-5, 1e8))
def test_the_mean_has_the_decimals_of_its_half_width(mean: float, half_width: float) -> None:
    shown = interval(mean, half_width)
    if shown.endswith("± 0") or shown.startswith("("):
        return
    left, right = (part.partition(".")[2] for part in shown.split(" ± "))
    assert len(left) == len(right)
    value = float(shown.split(" ± ")[1].replace(",", ""))
    assert value == pytest.approx(half_width, rel=0.051)  # two significant digits


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0"),
        (23.14159, "23.14"),
        (7500.4, "7,500"),
        (1.23e-7, "1.23e-7"),
        (1.2300004e-7, "1.230e-7"),
        (5e-5, "5e-5"),
        (9.6, "9.6"),
        (-3.14159, "-3.142"),
    ],
)
def test_plain(value: float | None, shown: str) -> None:
    assert plain(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0, "0"), (999, "999"), (999.6, "1.00 k"), (1463296, "1.46 M"), (65.3e12, "65.3 T")],
)
def test_amount(value: float | None, shown: str) -> None:
    assert amount(value) == shown


def test_memory_and_p_values() -> None:
    assert [memory(size) for size in (None, 390 * 2**20, 9.5 * 2**30, 80 * 2**30)] == [
        "–",
        "390 MiB",
        "9,728 MiB",
        "80.0 GiB",
    ]
    assert [p_value(p) for p in (0.0, 0.0023, 0.049, 0.31, 1.0)] == [
        *("p < 0.001", "p = 0.002", "p = 0.049", "p = 0.31", "p = 1"),
    ]


def read(shown: str) -> float:
    return float(shown.replace(",", "").replace("−", "-"))


@given(st.floats(-1e20, 1e20).filter(lambda value: abs(value) > 1e-20))
def test_plain_shows_the_value_rounded_to_four_digits_and_whole_from_1000_on(value: float) -> None:
    shown = plain(value)
    rounded = Context(prec=4).create_decimal(Decimal(value))
    if "e" in shown:
        assert not 1e-4 <= abs(rounded) < 1e12
        assert read(shown) == float(rounded)
    elif abs(value) < 1000:
        assert read(shown) == float(rounded)
        assert abs(rounded) >= Decimal("1e-4")
    else:
        assert abs(read(shown) - value) <= 0.5
        assert "." not in shown
        assert abs(rounded) < 1e12


def test_plain_where_rounding_changes_the_size() -> None:
    assert [plain(value) for value in (0.99999, 9.9996, 999.96, 0.000099999)] == [
        "1.000",
        "10.00",
        "1,000",
        "0.0001000",
    ]
    assert [plain(value) for value in (math.inf, -math.inf, 9.99e11, 1e12)] == ["∞", "-∞", "999,000,000,000", "1e12"]


def test_negative_zero_is_zero() -> None:
    assert plain(-0.0) == "0"
    assert interval(-0.0004, 0.11) == "0.00 ± 0.11"


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0%"),
        (0.00004, "0%"),
        (-0.00004, "0%"),
        (0.00006, "+0.01%"),
        (0.0094, "+0.94%"),
        (0.00996, "+1.0%"),
        (-0.0512, "-5.1%"),
        (0.5, "+50.0%"),
        (0.9994, "+99.9%"),
        (0.9996, "+100%"),
        (-0.9996, "-100%"),
        (12.345, "+1,234%"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_percent(share: float, shown: str) -> None:
    assert percent(share) == shown


@given(st.floats(-50, 50).filter(lambda share: abs(share) > 1e-3))
def test_percent_is_the_share_times_100_with_its_sign(share: float) -> None:
    size = abs(100 * share)
    half_a_digit = 0.5 if size >= 99.95 else 0.05 if size >= 0.995 else 0.005
    assert read(percent(share).removesuffix("%")) == pytest.approx(100 * share, rel=1e-9, abs=half_a_digit * 1.0001)
    assert percent(share)[0] == ("+" if share > 0 else "-")


@given(st.floats(1, 9.9e17))
def test_an_amount_is_the_value_to_three_digits_with_its_prefix(value: float) -> None:
    number, _, prefix = amount(value).partition(" ")
    factor = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}[prefix]
    assert abs(float(number) * factor - value) <= max(0.5, 0.00501 * value)
    assert prefix == "P" or float(number) < 1000
    assert not prefix or len(number.replace(".", "")) == 3


@given(st.floats(2**20, 2**45))
def test_memory_is_in_powers_of_two(size: float) -> None:
    number, unit = memory(size).split(" ")
    assert read(number) * {"MiB": 2**20, "GiB": 2**30}[unit] == pytest.approx(
        size, rel=0.006 if unit == "GiB" else 0.51
    )
    assert (unit == "GiB") == (size >= 10 * 2**30)
    assert abs(read(number) * 2**20 - size) <= 2**19 if unit == "MiB" else True


@pytest.mark.parametrize(
    ("p", "shown"),
    [
        *((0.00099, "p < 0.001"), (0.001, "p = 0.001"), (0.0049, "p = 0.005"), (0.0994, "p = 0.099")),
        *((0.1, "p = 0.10"), (0.91, "p = 0.91"), (0.994, "p = 0.99"), (0.996, "p = 1")),
    ],
)
def test_p_values_are_cut_at_their_ends(p: float, shown: str) -> None:
    assert p_value(p) == shown
