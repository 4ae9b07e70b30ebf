"""A report names each model that the control `silence` beats, with the numbers in which it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from genbench.report import render
from genbench.report.sections import sections
from genbench.report.silent import beaten_by_silence

Record = dict[str, Any]
Make = Callable[..., Record]


def told(records: list[Record]) -> str:
    return "\n".join(beaten_by_silence(section) for section in sections(records))


def with_fd(record: Record, value: float, score: float = 9.0) -> Record:
    record["numbers"]["fd"]["value"] = value
    record["numbers"]["classifier_score"]["value"] = score
    return record


def test_a_model_that_silence_beats_is_marked_with_both_numbers(make: Make, tmp_path: Path) -> None:
    silence = with_fd(make("silence", 0, role="control"), 50.0, 1.0)
    records = [with_fd(make("gan", 0), 80.0), with_fd(make("vae", 0), 20.0), silence]
    assert told(records) == "- **`gan` is beaten by *silence*** in fd (80, silence 50)."
    page = render(tmp_path, records).read_text()
    assert "`gan` is beaten by *silence*" in page
    assert "`vae` is beaten" not in page


def test_where_higher_is_better_less_is_worse_and_equal_is_not_beaten(make: Make) -> None:
    silence = with_fd(make("silence", 0, role="control"), 50.0, 5.0)
    found = told([with_fd(make("gan", 0), 50.0, 4.0), silence])
    assert "(4, silence 5)" in found
    assert "50" not in found


def test_without_the_control_nothing_is_said(make: Make) -> None:
    assert told([make("gan", 0), make("vae", 0)]) == ""
