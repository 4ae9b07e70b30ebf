from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from genbench.report.order import in_order
from genbench.report.sections import Section, sections

Make = Callable[..., dict[str, Any]]


def names(section: Section) -> list[str]:
    return [row.name for row in section.rows]


def test_models_by_the_main_metric_then_controls(benchmark_records: list[dict[str, Any]]) -> None:
    (section,) = sections(in_order(benchmark_records))
    assert section.main is not None
    assert section.main[0] == "fd"
    assert names(section) == ["gan", "ae", "dcgan", "vae", "copycat", "real", "gaussian", "noise"]
    assert [str(section.ranks[row.name]) for row in section.models] == ["1", "2", "3", "4"]
    assert "real" not in section.ranks


def test_a_metric_where_higher_is_better_turns_the_order(make: Make) -> None:
    records = [make(label, seed) for label in ("gan", "vae") for seed in range(3)]
    for record in records:
        del record["numbers"]["fd"]
    (section,) = sections(in_order(records))
    assert section.main is not None
    assert section.main[0] == "classifier_score"
    assert names(section) == ["gan", "vae"]
    assert str(section.ranks["gan"]) == "1"


@pytest.mark.parametrize("change", [{"extractor": "random-conv"}, {"samples": 100}, {"seed": 1}, {"metric_version": 2}])
def test_two_recipes_are_two_sections_and_controls_go_with_theirs(make: Make, change: dict[str, Any]) -> None:
    records = [make("gan", seed) for seed in range(2)] + [make("vae", 0, recipe_changes=change)]
    records += [make("real", 0), make("noise", 0, recipe_changes=change)]
    found = sections(in_order(records))
    assert sorted(map(names, found)) == [["gan", "real"], ["vae", "noise"]]
    assert len({section.slug for section in found}) == 2
    assert all(section.main is not None and section.main[1] in section.title[1] for section in found)


def test_one_model_under_two_recipes_is_never_averaged(make: Make) -> None:
    records = [make("gan", 0), make("gan", 1, recipe_changes={"samples": 100})]
    found = sections(in_order(records))
    assert [section.models[0].summary(section.main).n for section in found if section.main] == [1, 1]


def test_a_second_recipe_of_a_lesser_metric_is_a_column_of_its_own(make: Make) -> None:
    other = make("ae", 1)
    number = other["numbers"]["psnr"]
    other["recipes"]["ffffffff"] = other["recipes"][number["recipe"]] | {"metric_version": 2}
    number["recipe"] = "ffffffff"
    (section,) = sections(in_order([make("ae", 0), other]))
    assert [name for name, _ in section.columns].count("psnr") == 2
    assert [section.models[0].summary(column).n for column in section.columns if column[0] == "psnr"] == [1, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch_size": 128}, {"gan (batch size 64)", "gan (batch size 128)"}),
        ({"training_precision": "bf16"}, {"gan (training precision fp32)", "gan (training precision bf16)"}),
        ({"plugin": {"distribution": "d", "version": "0.1.0", "source_sha256": "cd" * 32}}, None),
    ],
)
def test_cells_of_one_label_that_differ_are_rows_that_say_in_what(
    make: Make, change: dict[str, Any], said: set[str] | None
) -> None:
    (section,) = sections(in_order([make("gan", 0), make("gan", 1, **change)]))
    assert len(section.rows) == 2
    assert said is None or set(names(section)) == said
    assert len(set(names(section))) == 2


def test_budgets_are_sections_and_controls_stand_in_each(make: Make) -> None:
    records = [make("gan", 0), make("gan", 0, budget="60s"), make("real", 0, budget=None), make("real", 1, budget=None)]
    found = sections(in_order(records))
    assert {section.title for section in found} == {("digits", "3000steps"), ("digits", "60s")}
    assert all(names(section) == ["gan", "real"] for section in found)
    assert all(len(section.controls[0].records) == 2 for section in found)


def test_datasets_of_one_name_and_other_content_are_apart(make: Make) -> None:
    record = make("gan", 0)
    changed = make("gan", 1, dataset=record["cell"]["dataset"] | {"fingerprint": "cd" * 32})
    assert len(sections(in_order([record, changed]))) == 2


def test_failed_seeds_count_in_their_row_and_a_lost_model_has_one(make: Make, failed: Make) -> None:
    records = [make("gan", 0), failed(make("gan", 1)), failed(make("vae", 0)), make("real", 0)]
    (section,) = sections(in_order(records))
    assert names(section) == ["gan", "vae", "real"]
    assert [(len(row.records), len(row.failed)) for row in section.models] == [(1, 1), (0, 1)]


def test_a_cell_without_the_main_metric_stands_beside_its_rivals(make: Make) -> None:
    lacking = make("vae", 0)
    lacking["numbers"] = {}
    (section,) = sections(in_order([make("gan", 0), lacking]))
    assert names(section) == ["gan", "vae"]


def test_the_later_of_two_records_of_one_seed_counts(make: Make) -> None:
    first, second = make("gan", 0), make("gan", 0)
    second["finished_at"] = "2027-01-01T00:00:00+00:00"
    second["numbers"]["fd"]["value"] = 1.0
    (section,) = sections(in_order([second, first]))
    assert section.main is not None
    assert section.models[0].values(section.main) == {0: 1.0}


def test_controls_alone_make_a_section(make: Make) -> None:
    (section,) = sections(in_order([make("real", 0), make("noise", 0)]))
    assert names(section) == ["real", "noise"]
    assert section.models == ()


def test_only_failed_records_make_none(make: Make, failed: Make) -> None:
    assert sections([failed(make("gan", 0))]) == []
