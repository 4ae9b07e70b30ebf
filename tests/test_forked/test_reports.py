"""What a rank that fails writes for the first rank: it has to fit into a pipe, which is read after the rank's end."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from forked_ranks import raising, reason_of, wait_for_ends

from genbench.cell import forked
from genbench.cell.forked import Followers
from genbench.errors import PluginError
from genbench.training.ranks.group import LostRankError

Start = Callable[..., Followers]


@pytest.mark.parametrize(
    "letter",
    ["a", "é", "模", "\U0001f600", "\x00", "\\"],
    ids=["ascii", "latin", "chinese", "emoji", "control", "backslash"],
)
def test_a_long_failure_is_reported_in_any_script(start: Start, letter: str) -> None:
    """A rank that writes more than a pipe holds waits for a reader, who waits for its end."""
    followers = start(2, raising(ValueError(100_000 * letter)))
    wait_for_ends(followers)
    failure = reason_of(followers)
    assert str(failure).startswith(f"rank 1 raised ValueError: {letter}")
    assert str(failure).endswith(letter)
    (note,) = failure.__notes__
    assert note.endswith(2_000 * letter + "\n")
    assert len(note) <= 32_000 + len("On rank 1:\n")


def described(error: BaseException) -> dict[str, Any]:
    """What a rank reports, and its traceback as Python itself would write it."""
    try:
        raise error
    except BaseException as raised:
        found = forked._described(raised)
        assert found["traceback"] == traceback.format_exc()
    return {key: value for key, value in found.items() if key != "traceback"}


def test_what_a_rank_reports_of_an_exception() -> None:
    assert described(ValueError("one\ntwo")) == {"plugin": False, "lost": False, "reason": "raised ValueError: one"}
    assert described(PluginError("one\ntwo")) == {"plugin": True, "lost": False, "reason": "one"}
    lost = {"plugin": False, "lost": True, "reason": "raised LostRankError: gone"}
    assert described(LostRankError("gone")) == lost
    reason = described(ValueError("x" * 5_000))["reason"]
    assert len(reason) < 2_100
    assert reason.startswith("raised ValueError: xxx")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("b" * 40_000, "b" * 32_000),
        ("ab" * 16_000, "ab" * 16_000),
        ("a" + "ab" * 16_000, "ab" * 16_000),
        ("\n" * 16_001, "\n" * 16_000),  # two bytes each: a backslash and a letter
        ("模" * 10_000, "模" * (32_000 // 6)),
        ("\U0001f600" * 10_000, "\U0001f600" * (32_000 // 12)),
        ("模" + "a" * 31_994, "模" + "a" * 31_994),
        ("模" + "a" * 31_995, "a" * 31_995),
    ],
    ids=range(9),
)
def test_the_end_of_a_traceback_is_kept_as_far_as_a_pipe_holds_it(text: str, kept: str) -> None:
    assert forked._end_of(text) == kept
    assert len(json.dumps(kept)) <= 32_000 + 2
