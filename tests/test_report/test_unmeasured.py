"""A report and the terminal say which requested metrics could not be measured, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genbench.cli.summary import print_summary
from genbench.records.record import Record as Stored
from genbench.report import render
from genbench.report.sections import sections
from genbench.report.unmeasured import unmeasured

Record = dict[str, Any]
Make = Callable[..., Record]

FEW = "class_fd: class 0 has {} samples and 128 data items, needs at least 20 of each"
NONE = "{}: needs log likelihoods, and there are none"


def told(records: list[Record]) -> list[str]:
    return [line for section in sections(records) for line in unmeasured(section).splitlines()]


def lacking(record: Record, **reasons: str) -> Record:
    return record | {"not_measured": reasons}


def test_a_metric_that_was_asked_for_and_not_measured_is_in_the_report_and_on_the_terminal(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [
        *(lacking(make("gan", seed), class_frechet=FEW.format(seed)) for seed in range(3)),
        lacking(make("vae", 0), class_frechet=FEW.format(0)),
        lacking(make("noise", 0, role="control"), class_frechet=FEW.format(7)),
    ]
    lines = told(records)
    assert [line.replace("\\", "") for line in lines] == [
        f"- Not measured: {FEW.format(0)} (`gan`, `vae`).",  # once, although each seed has its own count
        f"- Not measured: {FEW.format(7)} (*noise*).",
    ]
    page = render(tmp_path, records).read_text()
    assert all(line in page for line in lines)
    assert "class 0 has 7 samples" in (tmp_path / "report.html").read_text()
    print_summary([Stored(record) for record in records], page=tmp_path / "report.md")
    assert f"digits: not measured: {FEW.format(0)} (gan, vae)\n" in capsys.readouterr().out


def test_a_default_metric_that_does_not_apply_is_not_told_and_one_asked_for_by_name_is(make: Make) -> None:
    assert told([lacking(make(), likelihood=NONE.format("likelihood"))]) == []
    (line,) = told(
        [lacking(make(), classification_accuracy=NONE.format("cas"), likelihood="needs x, which there are none of")]
    )
    assert line == f"- Not measured: {NONE.format('cas')} (`gan`)."


def test_a_reason_names_its_metrics_where_it_does_not_begin_with_one(make: Make) -> None:
    (line,) = told([lacking(make(), cas="no features", mine="no features")])
    assert line == "- Not measured: cas, mine: no features (`gan`)."


def test_what_another_run_of_the_cell_measured_is_not_told(make: Make) -> None:
    assert told([lacking(make(), frechet_distance="fd: needs more")]) == []  # it has `fd`


def test_many_models_are_counted(make: Make) -> None:
    (line,) = told([lacking(make(f"m{place}"), cas="cas: too few") for place in range(11)])
    assert line.endswith(", 3 more).")


def test_a_section_without_other_numbers_has_the_heading_for_what_it_lacks(make: Make, tmp_path: Path) -> None:
    page = render(tmp_path, [lacking(make(), cas="cas: too few")]).read_text()
    assert page.count("### Other numbers") == 1
