"""What a report says about curves that deteriorated, seeds that differ, and the gain from augmentation by fraction."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genbench.report import render
from genbench.report.augmentation import augmentation
from genbench.report.order import in_order
from genbench.report.sections import sections
from genbench.report.stability import stability

Record = dict[str, Any]
Make = Callable[..., Record]

HEALTHY = (700.0, 120.0, 40.0, 24.0, 23.5, 23.0)
COLLAPSED = (700.0, 120.0, 40.0, 24.0, 400.0, 500.0)


def curve(record: Record, fd: tuple[float, ...], **numbers: tuple[float, ...]) -> Record:
    """Give a record a curve, and the curve's last fd as its number."""
    named = {"fd": fd, **numbers}
    points = [
        {"step": 500 * place, "numbers": {name: values[place] for name, values in named.items()}}
        for place in range(len(fd))
    ]
    record["numbers"]["fd"]["value"] = fd[-1]
    return record | {"curve": points}


def cells(table: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]
    return {row[0]: row[1:] for row in rows}


def parts(records: list[Record]) -> list[str]:
    (section,) = sections(in_order(records))
    return stability(section)


def test_seeds_that_collapsed_are_counted_and_the_worst_seed_is_named(make: Make) -> None:
    records = [curve(make("gan", seed), COLLAPSED if seed else HEALTHY) for seed in range(3)]
    records += [curve(make("vae", seed), HEALTHY) for seed in range(3)]
    heading, table, named, note = parts(records)
    assert heading == "### Stability"
    best, last, turned, spread, worst = cells(table)["`gan`"]
    assert (best, last) == ("23.67", "341")  # (23 + 24 + 24)/3 and (23 + 500 + 500)/3
    assert turned == "**step 2,000** in 2 of 3 seeds"
    assert spread == "81%"  # the standard deviation of 23, 500 and 500 is 275.4, their mean 341
    assert worst == "500 (seed 1)"
    assert cells(table)["`vae`"] == ["23", "23", "no", "0%", "23 (seed 0)"]
    assert named == (
        "- `gan` deteriorated for good in 2 of 3 seeds: from step 2,000 on, its fd never returned to its best, "
        "24, and ended at 500."
    )
    assert "means over seeds" in note


def test_classes_and_modes_that_were_lost_are_named_and_one_of_them_is_not(make: Make) -> None:
    lost = {"class_coverage": (0.1, 0.8, 1.0, 1.0, 0.3, 0.3), "modes_covered": (0, 7, 25, 25, 12, 11)}
    kept = {"class_coverage": (0.1, 0.8, 1.0, 1.0, 0.9, 0.9), "modes_covered": (0, 7, 25, 25, 24, 24)}
    _, table, named, note = parts([curve(make("gan"), HEALTHY, **lost), curve(make("vae"), HEALTHY, **kept)])
    assert cells(table)["`gan`"][-2:] == ["25 → 11", "1 → 0.3"]
    assert cells(table)["`vae`"][-2:] == ["25 → 24", "1 → 0.9"]
    assert cells(table)["`gan`"][2] == "no"
    assert "seed" not in table
    assert named.splitlines() == [
        "- `gan` lost modes: modes covered 25 → 11, for good from step 2,000 on.",
        "- `gan` lost classes: class coverage 1 → 0.3, for good from step 2,000 on.",
    ]
    assert "means over seeds" not in note


def test_short_curves_have_no_section_and_points_that_are_no_numbers_are_passed_over(make: Make) -> None:
    assert parts([curve(make("gan"), HEALTHY[:3])]) == []
    broken = (700.0, math.nan, 40.0, math.inf, 23.5, 23.0)
    _, table, named, _ = parts([curve(make("gan"), broken), curve(make("vae"), HEALTHY[:3])])
    assert list(cells(table)) == ["`gan`"]
    assert cells(table)["`gan`"][:3] == ["23", "23", "no"]
    assert named == "No curve deteriorated for good."
    assert parts([make("real")]) == []


def test_where_the_main_number_has_no_curve_another_is_followed(make: Make) -> None:
    record = curve(make("gan"), HEALTHY)
    for point in record["curve"]:
        point["numbers"] = {"classifier_score": 9 - point["numbers"].pop("fd") / 100}
    _, table, _, _ = parts([record])
    assert "best classifier score ↑ of the curve" in table
    assert cells(table)["`gan`"][0] == "8.77"


def gained(make: Make, label: str, seed: int, name: str, gain: float, real: float = 0.6) -> Record:
    count = {"digits": 1297, "digits:fraction=0.1": 130, "digits:fraction=1e-2": 13}.get(name, 5)
    record = make(label, seed, recipe_changes={"dataset": name}, dataset={
        "name": name, "fingerprint": name, "kind": "image", "train_count": count, "held_out_count": 500,
    })  # fmt: skip
    recipe = next(iter(record["recipes"]))
    for number, value, error in (("augmentation_gain", gain, 0.01), ("accuracy_real", real, 0.02)):
        record["numbers"][number] = {"value": value, "recipe": recipe, "standard_error": error}
    return record


def test_fractions_of_one_dataset_stand_in_one_table(make: Make) -> None:
    records = []
    for name, gain, real in (
        ("digits:fraction=1e-2", 0.2, 0.5),
        ("digits", 0.001, 0.95),
        ("digits:fraction=0.1", 0.1, 0.8),
    ):
        records += [gained(make, "gan", seed, name, gain, real) for seed in range(2)]
        records.append(gained(make, "real", 0, name, 0.3, 0.4))
    records.append(gained(make, "gan", 0, "shapes", 0.5))
    records.append(gained(make, "vae", 0, "digits", -0.05, 0.95))
    heading, caption, table, note = augmentation(sections(in_order(records)))
    assert heading == "## Augmentation"
    lines = table
    assert caption == "digits, 3000steps:"
    assert lines.splitlines()[0] == (
        "| of the training split | items | accuracy with real items only | `gan` | *real* | `vae` |"
    )
    # Two seeds that agree add nothing to 1.96 × 0.01.
    assert list(cells(lines).items()) == [
        ("1%", ["13", "0.5", "0.200 ± 0.020", "0.300 ± 0.020", "–"]),
        ("10%", ["130", "0.8", "0.100 ± 0.020", "0.300 ± 0.020", "–"]),
        ("100%", ["1,297", "0.95", "0.001 ± 0.020", "0.300 ± 0.020", "-0.050 ± 0.020"]),
    ]
    assert "shapes" not in table
    assert "±" in note


def test_the_interval_of_a_gain_counts_seeds_and_held_out_items(make: Make) -> None:
    names = ("digits", "digits:fraction=0.1")
    records = [gained(make, "gan", seed, name, 0.1 + 0.02 * seed) for name in names for seed in range(3)]
    table = augmentation(sections(in_order(records)))[2]
    half = math.hypot(4.302653 * 0.02 / math.sqrt(3), 1.96 * 0.01)  # Student's quantile with two degrees of freedom
    assert f"0.120 ± {half:.3f}" in table


def test_one_fraction_alone_has_no_table(make: Make) -> None:
    assert augmentation(sections(in_order([gained(make, "gan", 0, "digits:fraction=0.1", 0.1)]))) == []
    assert augmentation(sections(in_order([make("gan"), make("vae")]))) == []


@pytest.mark.parametrize("name", ["digits:fraction=0.1", "digits:fraction=0.1,held_out=3"])
def test_parts_that_differ_in_something_else_are_no_rows_of_one_table(make: Make, name: str) -> None:
    found = augmentation(sections(in_order([gained(make, "gan", 0, n, 0.1) for n in ("digits", name)])))
    assert bool(found) == ("held_out" not in name)


def test_the_page_has_both(make: Make, tmp_path: Path) -> None:
    records = [curve(gained(make, "gan", 0, name, 0.1), COLLAPSED) for name in ("digits", "digits:fraction=0.1")]
    page = render(tmp_path, records).read_text()
    assert page.count("### Stability") == 2
    assert page.count("## Augmentation") == 1
