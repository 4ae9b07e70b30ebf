"""Rows: which records are seeds of one cell, and what is read from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from genbench.records.statistics import summarise
from genbench.report.rows import Row, rows

Make = Callable[..., dict[str, Any]]


def row_of(records: list[dict[str, Any]]) -> Row:
    (row,) = rows(records, [], admit_failed=False)
    return row


def test_values_are_by_seed_of_one_recipe_and_nan_where_there_is_no_number(make: Make) -> None:
    records = [make("gan", seed) for seed in (3, 1, 0, 2)]
    recipe = records[0]["numbers"]["fd"]["recipe"]
    for record in records:
        record["numbers"]["fd"]["value"] = 10.0 + record["cell"]["seed"]
    records[1]["numbers"]["fd"]["value"] = None
    records[3]["numbers"]["fd"] = {"value": 99.0, "recipe": "another"}
    row = row_of(records)
    values = row.values(("fd", recipe))
    assert list(values) == [0, 1, 3]
    assert (values[0], values[3]) == (10.0, 13.0)
    assert math.isnan(values[1])
    assert (row.summary(("fd", recipe)).mean, row.summary(("fd", recipe)).missing) == (11.5, 1)
    assert row.values(("fd", "another")) == {2: 99.0}
    assert [record["cell"]["seed"] for record in row.records] == [0, 1, 2, 3]


def test_the_standard_error_is_the_root_mean_square_over_the_seeds_that_have_one_of_this_recipe(make: Make) -> None:
    records = [make("gan", seed) for seed in range(4)]
    recipe = records[0]["numbers"]["fd"]["recipe"]
    for record, error in zip(records, (1.0, 7.0, None, 100.0), strict=True):
        record["numbers"]["fd"]["standard_error"] = error
    records[3]["numbers"]["fd"]["recipe"] = "another"
    row = row_of(records)
    assert row.standard_error(("fd", recipe)) == pytest.approx(5.0)  # the root of (1 + 49) / 2
    assert row.standard_error(("fd", "another")) == 100.0
    assert row.standard_error(("classifier_score", "another")) is None


def test_a_cost_is_summarised_over_every_seed_that_has_it(make: Make) -> None:
    records = [make("gan", seed) for seed in range(4)]
    for record, seconds in zip(records, (1.0, 2.0, None, 6.0), strict=True):
        record["cost"]["train_s"] = seconds
    found = row_of(records).cost(lambda cost: cost["train_s"])
    assert found == summarise([1.0, 2.0, 6.0])
    assert found.mean == 3.0


@pytest.mark.parametrize(
    ("change", "count"),
    [
        ({"batch_size": 128}, 2),
        ({"options": {"latent": 3}}, 2),
        ({"precision": "bf16"}, 2),
        ({"summary": "other words"}, 1),
        ({"metrics": ["fd"]}, 1),
    ],
)
def test_models_are_one_row_if_nothing_differs_that_can_change_a_number(make: Make, change: dict, count: int) -> None:
    found = rows([make("gan", 0), make("gan", 1, **change)], [], admit_failed=False)
    assert len(found) == count


@pytest.mark.parametrize("field", ["distribution", "version", "source_sha256", "also_read"])
def test_another_plugin_is_another_row_and_only_its_origin_is_not(make: Make, field: str) -> None:
    plugin = make("gan")["cell"]["plugin"]
    apart = rows([make("gan", 0), make("gan", 1, plugin=plugin | {field: "other"})], [], admit_failed=False)
    assert len(apart) == 2
    assert len(rows([make("gan", 0), make("gan", 1, plugin=plugin | {"origin": "file"})], [], admit_failed=False)) == 1


def test_a_control_is_one_row_under_any_setting_of_training(make: Make) -> None:
    found = rows([make("real", 0), make("real", 1, batch_size=128, evaluations=9)], [], admit_failed=False)
    assert [len(row.records) for row in found] == [2]
    assert len(rows([make("real", 0), make("real", 1, options={"a": 1})], [], admit_failed=False)) == 2


def test_a_model_and_a_control_of_one_label_are_two_rows(make: Make) -> None:
    control = make("real", 0)
    model = make("gan", 0, label="real", model="real")
    assert sorted(row.is_model for row in rows([control, model], [], admit_failed=False)) == [False, True]


def test_a_cell_of_which_every_seed_failed_has_a_row_only_where_it_is_admitted(make: Make, failed: Make) -> None:
    finished, lost = [make("gan", 0)], [failed(make("gan", 1)), failed(make("vae", 0)), failed(make("vae", 1))]
    assert [(row.name, len(row.records), len(row.failed)) for row in rows(finished, lost, admit_failed=False)] == [
        ("gan", 1, 1)
    ]
    assert [(row.name, len(row.records), len(row.failed)) for row in rows(finished, lost, admit_failed=True)] == [
        ("gan", 1, 1),
        ("vae", 0, 2),
    ]


def test_of_two_records_of_one_seed_the_later_counts_whichever_comes_first(make: Make) -> None:
    first, second = make("gan", 0), make("gan", 0)
    first["finished_at"], second["finished_at"] = "2026-11-22T08:00:00+00:00", "2026-11-22T09:00:00+00:00"
    for order in ([first, second], [second, first]):
        assert row_of(order).records == (second,)
