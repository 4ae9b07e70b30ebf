from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genbench.report.formatting import amount, interval, memory, p_value, plain


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
