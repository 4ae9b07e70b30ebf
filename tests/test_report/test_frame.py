from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from genbench.report.frame import csv, curve_frame, frame

Make = Callable[..., dict[str, Any]]


def test_one_row_a_cell_with_every_number_its_recipe_and_every_cost(make: Make) -> None:
    record = make("vae:beta=4", 2)
    row = frame([record]).iloc[0]
    assert row["label"] == "vae:beta=4"
    assert json.loads(row["options"]) == {"beta": "4"}
    assert (row["model"], row["seed"], row["budget"], row["dataset"]) == ("vae", 2, "3000steps", "digits")
    assert (row["plugin_distribution"], row["plugin_version"], row["plugin_source_sha256"]) == (
        "genbench-vae",
        "0.1.0",
        "ab" * 32,
    )
    for name, number in record["numbers"].items():
        assert row[name] == number["value"]
        assert row[f"{name}_recipe"] == number["recipe"]
    rate = record["cost"]["train_images_per_s"]
    assert [row[f"train_images_per_s_{part}"] for part in rate] == list(rate.values())
    assert row["peak_resident_bytes"] == record["cost"]["peak_resident_bytes"]
    assert row["environment_torch"] == "2.13.0"


def test_rows_come_in_one_order_whatever_the_order_of_the_records(benchmark_records: list[dict[str, Any]]) -> None:
    table = frame(reversed(benchmark_records))
    pd.testing.assert_frame_equal(table, frame(benchmark_records))
    assert list(table["kind"]) == ["model"] * 12 + ["control"] * 12
    assert list(table["seed"][:3]) == [0, 1, 2]


def test_whole_numbers_stay_whole_where_some_are_missing(make: Make) -> None:
    table = frame([make("gan"), make("noise")])
    assert table["parameters"].dtype == "Int64"
    assert table["seed"].dtype == "int64"
    assert b"1463296," in csv(table)


def test_a_number_that_happens_to_be_whole_is_a_float(make: Make) -> None:
    record = make("gan")
    record["numbers"]["fd"]["value"] = 12
    assert frame([record])["fd"].dtype == "float64"


def test_a_failed_cell_has_its_reason_and_no_numbers(make: Make, failed: Make) -> None:
    table = frame([make("gan", 0), failed(make("gan", 1), stage="sampling", reason='shape, "quoted"\nand broken')])
    row = pd.read_csv(io.BytesIO(csv(table))).iloc[1]
    assert (row["status"], row["failure_stage"], row["failure_reason"]) == (
        "failed",
        "sampling",
        'shape, "quoted"\nand broken',
    )
    assert math.isnan(row["fd"])


def test_csv_keeps_every_digit_and_any_text(make: Make) -> None:
    record = make("gan", summary="naïve \ud800\x1b]0; 模型")
    record["numbers"]["fd"]["value"] = 0.1 + 0.2
    written = csv(frame([record]))
    assert repr(0.1 + 0.2).encode() in written
    assert r"naïve \ud800\x1b]0; 模型".encode() in written


def test_the_curve_is_long_and_tidy(make: Make) -> None:
    record = make("gan", 1)
    table = curve_frame([make("real"), record])
    whose, where, what = (
        ["id", "label", "dataset", "seed"],
        ["step", "images", "elapsed_s", "flops"],
        ["kind", "name", "value"],
    )
    assert list(table.columns) == whose + where + what
    assert set(table["id"]) == {record["id"]}
    last = record["curve"][-1]
    found = table[table["step"] == last["step"]]
    assert dict(zip(found["name"], found["value"], strict=True)) == {**last["losses"], **last["numbers"]}
    assert dict(zip(found["name"], found["kind"], strict=True))["fd"] == "number"
    assert set(found["elapsed_s"]) == {last["elapsed_s"]}


@pytest.mark.parametrize("build", [frame, curve_frame])
def test_no_records_give_an_empty_table(build: Callable[[list[Any]], pd.DataFrame]) -> None:
    assert build([]).empty
    assert csv(build([])).endswith(b"\n")


def test_a_column_of_standard_errors_stands_beside_the_number_where_any_record_has_it(make: Make) -> None:
    old, new = make("gan", 0), make("gan", 1)
    assert not [name for name in frame([old]) if name.endswith("standard_error")]
    new["numbers"]["fd"]["standard_error"] = 0.25
    table = frame([old, new])
    columns = list(table)
    assert columns.index("fd_standard_error") == columns.index("fd_recipe") + 1
    assert math.isnan(table["fd_standard_error"][0])
    assert table["fd_standard_error"][1] == 0.25
    assert "classifier_score_standard_error" not in columns
