"""Many records fit into little memory, and what is written stays the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genbench.records.curve import StoredCurve
from genbench.records.files import each_record, read_records
from genbench.records.lean import entries, lean
from genbench.records.record import Record, write_record
from genbench.report import render, render_directory
from genbench.report.columns import result_columns
from genbench.report.curve_rows import write_curves
from genbench.report.frame import csv, curve_frame, frame
from genbench.report.stored import stored_records
from genbench.report.table_file import write_table


def test_a_lean_record_is_the_record(benchmark_records: list[dict[str, Any]]) -> None:
    for slim, whole in zip(lean(benchmark_records), benchmark_records, strict=True):
        assert dict(slim) | {"curve": list(slim["curve"])} == whole
        assert list(slim) == list(whole)


def test_what_records_share_is_held_once(benchmark_records: list[dict[str, Any]], tmp_path: Path) -> None:
    for record in benchmark_records[:3]:
        write_record(tmp_path, record)
    first, second, _ = (record.data for record in stored_records(tmp_path))
    assert first["recipes"] is second["recipes"]
    assert first["environment"] is second["environment"]
    assert first["cell"]["dataset"] is second["cell"]["dataset"]
    assert first["cell"]["plugin"] is second["cell"]["plugin"]
    assert isinstance(first["curve"], StoredCurve)
    assert [record.id for record in stored_records(tmp_path)] == [record.id for record in read_records(tmp_path)]


def test_a_stored_curve_reads_like_a_list() -> None:
    points = [{"step": step, "losses": {"loss": 0.1 * step}} for step in range(4)]
    curve = StoredCurve(points)
    assert len(curve) == 4
    assert curve[-1] == points[-1]
    assert curve[1:3] == points[1:3]
    assert list(curve) == points


def test_numbers_that_are_not_floats_are_kept_as_they_are(benchmark_records: list[dict[str, Any]]) -> None:
    (odd,) = lean(
        [benchmark_records[0] | {"numbers": {"fd": {"value": 3, "recipe": "a"}, "kid": {"value": None, "recipe": "b"}}}]
    )
    assert json.dumps(odd["numbers"]["fd"]) == '{"value": 3, "recipe": "a"}'
    assert [(entry.name, entry.value) for entry in entries(odd)] == [("fd", 3), ("kid", None)]


def test_rows_of_numbers_that_are_not_floats_are_their_own(benchmark_records: list[dict[str, Any]]) -> None:
    """Equal integers make two records alike in all but their standard errors."""
    numbers = [{"fd": {"value": 3, "recipe": "a", "standard_error": error}} for error in (0.25, 0.5)]
    records = [benchmark_records[0] | {"numbers": each} for each in numbers]
    records[1] |= {"id": "f" * 16, "cell": {**records[0]["cell"], "seed": 99}}
    assert frame(lean(records))["fd_standard_error"].tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    "points",
    [
        [{"step": 1, "losses": {"a": 1}}, {"losses": {}, "step": 2}],
        [{"step": 2**53, "losses": {}}, {"step": 1, "losses": None}],
        [{"step": 2**53 + 1, "losses": {"a": 0.5}}],
        [{"step": 1, "losses": {"a": 0.5, "b": -(2**53) - 1}}],
        [{"step": 1, "flops": 2.0**60, "losses": {"a": None, "b": float("inf")}, "numbers": {}}],
        [{"step": "text"}, {"step": True}],
        [{}, {}],
        [],
    ],
    ids=str,
)
def test_a_stored_curve_keeps_types_and_order(points: list[dict[str, Any]]) -> None:
    assert json.dumps(list(StoredCurve(points))) == json.dumps(points)


def test_curves_keep_numbers_that_json_has_no_name_for() -> None:
    (point,) = StoredCurve([{"step": 1, "losses": {"loss": float("inf")}}])
    assert point["losses"]["loss"] == float("inf")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"flops": None},
        {"flops": 2**63},
        {"elapsed_s": 3},
        {"elapsed_s": float("inf"), "step": 2.5},
        {"losses": {'a, "b"\n': None, "b": float("nan"), "c": 7, "d": 1e-5, "e": 1e16}, "numbers": {}},
        {"losses": {"a": 2**70}},
        {"losses": {}, "numbers": None, "items": 0.5},
        {"items": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("every", [False, True])
def test_curves_record_by_record_are_the_bytes_of_the_table(
    benchmark_records: list[dict[str, Any]], tmp_path: Path, change: dict[str, Any], every: bool
) -> None:
    changed = [
        record | {"curve": [point | change for point in record["curve"]]} if every or place < 2 else record
        for place, record in enumerate(benchmark_records)
    ]
    write_curves(tmp_path / "curves.csv", changed)
    assert (tmp_path / "curves.csv").read_bytes() == csv(curve_frame(changed))


@pytest.mark.parametrize(
    "change", [{"label": 'a "quoted", \x1b one\n'}, {"label": "=1+1"}, {"seed": 2**63}, {"label": "ü\0"}], ids=str
)
def test_whose_curve_it_is_is_written_as_in_the_table(
    benchmark_records: list[dict[str, Any]], tmp_path: Path, change: dict[str, Any]
) -> None:
    first, *others = benchmark_records[:6]
    changed = [first | {"cell": first["cell"] | change}, *others]
    write_curves(tmp_path / "curves.csv", changed)
    assert (tmp_path / "curves.csv").read_bytes() == csv(curve_frame(changed))


def test_no_curves_give_only_a_header(tmp_path: Path) -> None:
    write_curves(tmp_path / "curves.csv", [])
    assert (tmp_path / "curves.csv").read_bytes() == csv(curve_frame([]))


def test_a_folder_renders_as_its_records_do(benchmark_records: list[dict[str, Any]], tmp_path: Path) -> None:
    for record in benchmark_records:
        write_record(tmp_path / "stored", record)
    whole = [json.loads(json.dumps(dict(record.data))) for record in each_record(tmp_path / "stored")]
    assert all(isinstance(Record(record).data["curve"], list) for record in whole)
    render(tmp_path / "whole", whole, None)
    render_directory(tmp_path / "stored")
    for name in ("results.csv", "curves.csv", "figures/digits-quality.png", "figures/digits-losses.png"):
        assert (tmp_path / "stored" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_table_in_a_file_has_the_bytes_of_the_table(benchmark_records: list[dict[str, Any]], tmp_path: Path) -> None:
    odd = {"cost": {"texts": 'a "quoted",\nline', "huge": 1e16, "small": -1e-5, "flag": True, "mixed": 7, "none": None}}
    other = {"cost": {"texts": "\x1b[2J", "huge": float("inf"), "small": 3, "flag": None, "mixed": "", "none": None}}
    records = [record | (odd, other, {})[place % 3] for place, record in enumerate(benchmark_records)]
    records[0] |= {"cell": records[0]["cell"] | {"label": "=1+1", "summary": "-x + 1"}}
    write_table(tmp_path / "results.csv", *result_columns(lean(records)))
    assert (tmp_path / "results.csv").read_bytes() == csv(frame(records))
