from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from scipy import stats

from genbench.report.against_real import anchor, ratio_note, ratio_table, ratios
from genbench.report.frame import frame
from genbench.report.order import in_order
from genbench.report.sections import Section, sections

Make = Callable[..., dict[str, Any]]
FOUND = {"gan": (4.0, 5.0, 6.0), "vae": (20.0, 22.0, 24.0), "copycat": (0.5, 0.5, 0.5), "real": (2.0, 2.0, 2.0)}


def measured(
    make: Make, values: dict[str, tuple[float, ...]] = FOUND, error: float | None = 0.2
) -> list[dict[str, Any]]:
    records = []
    for label, per_seed in values.items():
        for seed, value in enumerate(per_seed):
            record = make(label, seed)
            record["numbers"]["fd"] |= {"value": value} | ({"standard_error": error} if error else {})
            records.append(record)
    return records


def section_of(records: list[dict[str, Any]]) -> Section:
    (section,) = sections(in_order(records))
    return section


def test_each_row_but_real_over_the_mean_of_real(make: Make) -> None:
    section = section_of(measured(make))
    assert section.main is not None
    found = ratios(section, section.main)
    assert {name: ratio.ratio for name, ratio in found.items()} == pytest.approx(
        {"gan": 2.5, "vae": 11.0, "copycat": 0.25}
    )
    # Each seed draws all 500 held-out images, so three seeds of `real` have the error of one.
    seeds, evaluation = 1 / 3 / 25, 0.2**2 / 4
    quantile = (seeds * stats.t.ppf(0.975, 2) + evaluation * stats.norm.ppf(0.975)) / (seeds + evaluation)
    assert found["gan"].high == pytest.approx(2.5 * math.exp(quantile * math.sqrt(seeds + evaluation)))


def test_the_table_marks_what_is_nearer_to_the_training_data_than_new_data(make: Make) -> None:
    section = section_of(measured(make))
    lines = ratio_table(section).splitlines()
    assert lines[0] == "| model | fd ÷ real |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| `gan`", "| `vae`", "| *copycat*"]
    assert "†" not in lines[2] + lines[3]
    assert lines[4] == "| *copycat* | 0.250 (0.206 to 0.304) † |"


def test_the_note_leads_to_the_tests_of_copying(make: Make) -> None:
    records = measured(make)
    for record in records:
        recipe = record["numbers"]["fd"]["recipe"]
        record["numbers"]["authenticity"] = {"value": 0.125, "recipe": recipe}
    section = section_of(records)
    note = ratio_note(section)
    assert "`copycat` (authenticity 0.125)" in note
    assert f"(#{anchor(section)})" in note
    assert "gan" not in note
    assert "†" not in ratio_note(section_of(measured(make, {"gan": (4.0, 5.0), "real": (2.0, 2.0)})))


def test_an_interval_that_holds_1_is_said_to(make: Make) -> None:
    near = {"gan": (1.6, 2.1, 2.2), "real": (2.0, 2.0, 2.0)}
    assert "the interval contains 1" in ratio_note(section_of(measured(make, near)))
    assert "the interval contains 1" not in ratio_note(section_of(measured(make)))


def test_of_one_seed_no_interval_is_spoken_of(make: Make) -> None:
    note = ratio_note(section_of(measured(make, {"gan": (1.6,), "real": (2.0,)})))
    assert "One seed gives no interval." in note
    assert note.endswith("; one seed does not resolve it.")


@pytest.mark.parametrize("without", ["real", "fd"])
def test_without_real_or_without_a_distance_there_is_no_table(make: Make, without: str) -> None:
    records = [record for record in measured(make) if record["cell"]["model"] != without]
    for record in records:
        record["numbers"].pop(without, None)
    assert ratio_table(section_of(records)) == ""


def test_without_the_evaluation_s_error_there_is_no_interval(make: Make) -> None:
    section = section_of(measured(make, error=None))
    assert "| `gan` | 2.5 |" in ratio_table(section)


def test_the_frame_has_each_cell_over_the_mean_of_real(make: Make) -> None:
    table = frame(measured(make, FOUND | {"real": (1.0, 2.0, 3.0)}))
    assert table.set_index(["label", "seed"])["fd_ratio"]["gan", 2] == pytest.approx(3.0)
    assert "fd_ratio" not in frame(measured(make, {"gan": (4.0, 5.0)})).columns


def test_the_frame_sets_nothing_over_real_of_another_recipe(make: Make) -> None:
    other = make("vae", 0, recipe_changes={"samples": 100})
    table = frame([*measured(make), other]).set_index("id")
    assert math.isnan(table["fd_ratio"][other["id"]])


def test_the_score_stands_between_the_controls(make: Make) -> None:
    values = FOUND | {"gaussian": (32.0, 32.0, 32.0)}
    section = section_of(measured(make, values | {"gan": (8.0, 8.0, 8.0), "vae": (16.0, 8.0, 4.0)}))
    lines = ratio_table(section).splitlines()
    assert lines[0] == "| model | score ↑ | fd ÷ real |"
    cells = {line.split(" | ")[0]: line.split(" | ")[1] for line in lines[2:]}
    assert cells["| `gan`"] == "0.5 ± 0"
    assert cells["| `vae`"].startswith("0.50 ± ")  # the mean of 0.25, 0.5 and 0.75
    assert cells["| *gaussian*"] == "0 ± 0"
    assert "0 at *gaussian* and 1 at *real*" in ratio_note(section)
    assert "score" not in ratio_table(section_of(measured(make)))


@pytest.mark.parametrize(
    ("values", "shown"),
    [((2.08, 2.09, 2.10), "1.045 (1.030 to 1.060)"), ((1.0, 4.0, 10.0), "2.5 (0.26 to 24)")],
)
def test_the_ends_of_a_narrow_interval_are_told_apart(make: Make, values: tuple[float, ...], shown: str) -> None:
    section = section_of(measured(make, {"gan": values, "real": (2.0, 2.0, 2.0)}, error=0.01))
    assert f"| `gan` | {shown} |" in ratio_table(section)
