"""A record is accepted or refused as if only the standard library read it, although a faster parser does."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genbench.records import signed as module
from genbench.records.signed import signed

NUMBERS = [
    1e-5,
    1.2345e-5,
    9.99e-5,
    0.0001,
    2.5e-7,
    -3e-9,
    1e15,
    1e16,
    1.5e22,
    5e-324,
    1.7e308,
    0.1,
    -0.0,
    10.00001,
    3.0,
]
WHOLE = [0, -1, 2**53 + 1, 2**63, 2**64 - 1]


def content(body: dict[str, Any], **changes: Any) -> bytes:
    """A record's file, with a checksum computed here independently."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    whole = body | {"sha256": hashlib.sha256(text.encode()).hexdigest()} | changes
    return (json.dumps(whole, indent=1) + "\n").encode()


def bits(value: Any) -> str:
    """A text that differs whenever two plain values do, including 1 and 1.0, and 0.0 and -0.0."""
    return repr(value)


@pytest.fixture
def slow_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    slow = module.checksum
    monkeypatch.setattr(module, "checksum", lambda document: calls.append(1) or slow(document))
    return calls


@pytest.mark.parametrize("number", [*NUMBERS, *WHOLE], ids=repr)
def test_every_number_that_records_hold_is_read_the_fast_way(number: Any, slow_calls: list[int]) -> None:
    body = {"b": [number, number], "a": {"last": number}, "é": "±", "e": "digest 5e12"}
    document, fits = signed(content(body))
    assert fits
    assert bits({name: document[name] for name in body}) == bits(body)
    assert not slow_calls


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 2**64, -(2**63) - 1, 10**30, "a:1e-5,b", "a,0.00002]", [[1e-5, "x,2e-7,y"]]],
    ids=repr,
)
def test_what_the_fast_way_may_misread_is_read_all_the_same(value: Any) -> None:
    document, fits = signed(content({"value": value}))
    assert fits
    assert bits(document["value"]) == bits(value)


def test_half_a_surrogate_pair_has_no_checksum_on_either_way() -> None:
    broken = json.dumps({"value": "\ud800", "sha256": "0" * 64}).encode()
    with pytest.raises(UnicodeEncodeError):
        signed(broken)


@pytest.mark.parametrize("changed", ["0.00003", "1.5", "2e-5", "NaN", '"2e-05"', "20"])
def test_an_edited_number_does_not_fit(changed: str) -> None:
    whole = content({"value": 3e-5, "kept": 2e-5})
    edited = whole.replace(b'"kept": 2e-05', f'"kept": {changed}'.encode())
    assert edited != whole
    # The same number in a different spelling is the same record, as it always was.
    assert signed(edited)[1] == (changed == "2e-5")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), values, max_size=5))
def test_any_document_is_read_as_the_standard_library_reads_it(body: dict[str, Any]) -> None:
    body.pop("sha256", None)
    try:
        raw = content(body)
    except UnicodeEncodeError:
        return
    document, fits = signed(raw)
    assert fits
    assert bits(document) == bits(json.loads(raw))
    assert not signed(raw.replace(b'"sha256": "', b'"sha256": "x'))[1]
