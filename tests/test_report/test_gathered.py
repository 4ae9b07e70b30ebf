"""A column that is filled in parts reads like the whole column, wherever it is cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from genbench.report.gathered import Gathered

PARTS = {
    "floats": [[0.5, None, 2.0], [3.0, 4.5]],
    "integers": [[1, 2], [3, None, 5]],
    "integers and floats": [[1, 2, 3], [0.5, None]],
    "beyond 64 bits": [[1, 2**63], [None, 4]],
    "texts": [["a", None], ["b", "c", ""]],
    "texts and numbers": [["a", 1], [0.5, None, True]],
    "floats beside texts": [[0.5, None], ["a"]],
    "NaN beside none": [[math.nan, None], [1.0]],
    "nothing": [[None, None], [None]],
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_read_like_the_whole(name: str) -> None:
    parts = PARTS[name]
    whole: list[Any] = [value for part in parts for value in part]
    held, place = Gathered(), 0
    for part in parts:
        held.add(place, part)
        place += len(part)
    for start in range(len(whole) + 1):
        for stop in range(start, len(whole) + 3):  # more rows than the column was given: missing
            expected = (whole + [None] * 3)[start:stop]
            found = held.values(start, stop)
            if held.is_float:
                np.testing.assert_array_equal(
                    found, [math.nan if value is None else float(value) for value in expected]
                )
            else:
                assert [*map(repr, found)] == [*map(repr, expected)]


@pytest.mark.parametrize(
    ("name", "is_float", "is_whole"),
    [
        ("floats", True, False),
        ("integers", False, True),
        ("integers and floats", True, False),
        ("beyond 64 bits", True, False),
        ("texts", False, False),
        ("texts and numbers", False, False),
        ("floats beside texts", False, False),
        ("NaN beside none", True, False),
        ("nothing", False, False),
    ],
)
def test_the_type_of_a_column(name: str, is_float: bool, is_whole: bool) -> None:
    held = Gathered()
    held.add(0, [value for part in PARTS[name] for value in part])
    assert (held.is_float, held.is_whole) == (is_float, is_whole)
