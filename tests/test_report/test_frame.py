from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from genbench.config import Settings
from genbench.metrics import METRICS
from genbench.records.schemas import SCHEMA, upgraded
from genbench.records.table_names import is_column
from genbench.report.frame import csv, curve_frame, first_look, frame
from genbench.report.order import in_order

RECORDS = Path(__file__).parent.parent / "records"
NUMBERS = {name for metric in METRICS.values() for value in metric.values for name in value.names}
Make = Callable[..., dict[str, Any]]


def stored(schema: int) -> dict[str, Any]:
    """Return the stored record of this schema, as this version reads it."""
    return upgraded(json.loads((RECORDS / f"schema-{schema}.json").read_text()))


def test_the_first_look_is_at_what_tells_cells_and_results_apart(make: Make, failed: Make) -> None:
    whole = frame([make("vae", 0), make("real", 0)])
    looked = first_look(whole)
    assert list(looked)[:7] == ["label", "dataset", "seed", "status", "fd", "classifier_score", "reconstruction_mse"]
    assert sorted(looked) == sorted(whole)
    assert "failure_reason" in list(first_look(frame([make("vae", 0), failed(make("gan", 0))])))[:5]
    pd.testing.assert_frame_equal(looked[list(whole)], whole)


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
    rate = record["cost"]["train_items_per_s"]
    assert [row[f"train_items_per_s_{part}"] for part in rate] == list(rate.values())
    assert row["peak_resident_bytes"] == record["cost"]["peak_resident_bytes"]
    assert row["environment_torch"] == "2.13.0"


def test_every_field_of_a_record_is_a_column_each_in_its_place() -> None:
    record = stored(SCHEMA)
    record["failure"] = {"stage": "training", "reason": "diverged"}
    row = frame([record]).iloc[0]
    cell, dataset, plugin = record["cell"], record["cell"]["dataset"], record["cell"]["plugin"]
    before = [
        *("id", "status", "model", "label", "role", "options", "summary", "dataset", "dataset_fingerprint"),
        *("dataset_shape", "dataset_classes", "dataset_train_count", "dataset_held_out_count", "dataset_licence"),
        *("seed", "budget", "batch_size", "training_precision", "compile", "device", "evaluations", "samples"),
        *("extractor", "metrics"),
        *("plugin_distribution", "plugin_version", "plugin_origin", "plugin_source_sha256"),
    ]
    assert list(row.index)[: len(before)] == before
    assert list(row.index)[-4:] == ["started_at", "finished_at", "failure_stage", "failure_reason"]
    assert list(row[-4:]) == [record["started_at"], record["finished_at"], "training", "diverged"]
    assert [row[name] for name in ("model", "label", "role", "summary")] == [
        cell[name] for name in ("model", "label", "role", "summary")
    ]
    for name in ("fingerprint", "classes", "train_count", "held_out_count", "licence"):
        assert row[f"dataset_{name}"] == dataset[name]
    assert json.loads(row["dataset_shape"]) == dataset["shape"]
    for name in ("distribution", "version", "origin", "source_sha256"):
        assert row[f"plugin_{name}"] == plugin[name]


def test_rows_come_in_one_order_whatever_the_order_of_the_records(benchmark_records: list[dict[str, Any]]) -> None:
    table = frame(reversed(benchmark_records))
    pd.testing.assert_frame_equal(table, frame(benchmark_records))
    assert list(table["role"]) == ["model"] * 12 + ["control"] * 12
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


def test_a_text_that_a_spreadsheet_would_run_is_no_formula_in_a_file(make: Make) -> None:
    harm = "=cmd|' /C calc'!A0"
    record = make("gan", command="-1+cmd")
    record["cell"] |= {"label": harm, "summary": "@SUM(A1)", "budget": "-5"}
    record["numbers"]["+1"] = record["numbers"]["fd"]
    table = frame([record])
    assert table["label"][0] == harm  # a program reads it as it is
    row = pd.read_csv(io.BytesIO(csv(table)), dtype=str).iloc[0]
    assert (row["label"], row["summary"], row["budget"]) == (f"'{harm}", "'@SUM(A1)", "-5")
    assert "'+1_recipe" in row


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
        ["step", "items", "elapsed_s", "flops"],
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


def test_no_setting_and_no_cost_shares_its_name_with_a_number() -> None:
    """Covers every setting, every column that is not a number, and every name that a metric of the table reports."""
    record = stored(SCHEMA)
    others = set(frame([{**record, "numbers": {}}])) | {field.name for field in fields(Settings)} | set(record["cost"])
    numbers = {f"{name}{suffix}" for name in NUMBERS for suffix in ("", "_recipe", "_standard_error")}
    assert {"training_precision", "batch_size"} <= others
    assert {"precision", "fd", "fid"} <= numbers
    assert not numbers & others
    assert len(numbers) == 3 * len(NUMBERS)


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_a_plugins_number_can_take_no_columns_name(schema: int) -> None:
    """Every column of a record without numbers is refused as a number's name, and so is what stands beside one."""
    record = stored(schema)
    others = set(frame([{**record, "numbers": {}}])) | {field.name for field in fields(Settings)}
    others |= {*record["cell"], *record["cost"], *curve_frame([record])}
    assert [name for name in others if not is_column(name)] == []
    assert all(is_column(name) for name in ("fd_ratio", "mine_recipe", "mine_standard_error"))
    assert [name for name in ("mine", "gap", "mean_gap", "my_ratio") if is_column(name)] == []


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_the_training_precision_stands_beside_the_metric_precision_in_every_schema(schema: int) -> None:
    record = stored(schema)
    row = frame([record]).iloc[0]
    assert (row["training_precision"], row["precision"]) == ("fp32", record["numbers"]["precision"]["value"])


def test_the_order_is_by_dataset_then_models_before_controls_then_label_then_seed_as_a_number(make: Make) -> None:
    shapes = make("gan")["cell"]["dataset"] | {"name": "shapes"}
    records = [
        *(make("vae", 0), make("gan", 10), make("gan", 2), make("copycat", 0), make("real", 1), make("real", 0)),
        make("ae", 0, dataset=shapes),
    ]
    found = [(r["cell"]["dataset"]["name"], r["cell"]["label"], r["cell"]["seed"]) for r in in_order(records)]
    assert found == [
        *(("digits", "gan", 2), ("digits", "gan", 10), ("digits", "vae", 0)),
        *(("digits", "copycat", 0), ("digits", "real", 0), ("digits", "real", 1), ("shapes", "ae", 0)),
    ]


def test_each_value_stands_under_its_own_name(make: Make) -> None:
    record = make("vae", 0)
    for place, number in enumerate(record["numbers"].values()):
        number |= {"value": float(place), "recipe": f"recipe-{place}", "standard_error": 100.0 + place}
    record |= {"started_at": "then", "finished_at": "later"}
    row = frame([record]).iloc[0]
    for place, name in enumerate(record["numbers"]):
        assert (row[name], row[f"{name}_recipe"]) == (float(place), f"recipe-{place}")
        assert row[f"{name}_standard_error"] == 100.0 + place
    assert (row["started_at"], row["finished_at"]) == ("then", "later")


def test_what_is_no_number_is_missing_and_counts_in_no_mean(make: Make) -> None:
    records = [make("gan", seed) for seed in range(3)]
    for record, value in zip(records, (1.0, None, float("nan")), strict=True):
        record["numbers"]["fd"]["value"] = value
    column = frame(records)["fd"]
    assert column.dtype == "float64"
    assert (column.mean(), int(column.isna().sum())) == (1.0, 2)


def test_whole_numbers_beyond_64_bits_are_floats(make: Make) -> None:
    record = make("gan", 0)
    record["cost"]["train_flops_per_item"] = 2**63
    column = frame([record])["train_flops_per_item"]
    assert (column.dtype, column[0]) == ("float64", 2.0**63)


def test_each_point_of_a_curve_is_where_it_was_measured(make: Make) -> None:
    record = make("gan", 0)
    record["curve"] = [
        {"step": 1, "items": 64, "elapsed_s": 0.5, "flops": 7.0, "losses": {"g": 0.25}, "numbers": {"fd": 9.0}},
        {"step": 2, "items": 128, "elapsed_s": 0.75, "flops": 14.0, "losses": {"g": 0.125}},
    ]
    columns = ["step", "items", "elapsed_s", "flops", "kind", "name", "value"]
    assert curve_frame([record])[columns].to_numpy().tolist() == [
        [1, 64, 0.5, 7.0, "loss", "g", 0.25],
        [1, 64, 0.5, 7.0, "number", "fd", 9.0],
        [2, 128, 0.75, 14.0, "loss", "g", 0.125],
    ]
