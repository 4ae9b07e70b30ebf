"""A cell that is measured again: its records are merged number by number, with nothing lost or counted twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import genbench
from genbench import changes
from genbench.records.record import cell_id, write_record
from genbench.report import pages
from genbench.report.frame import curve_frame, frame
from genbench.report.machines import machines
from genbench.report.merging import merged, with_older
from genbench.report.model import markdown
from genbench.report.order import in_order
from genbench.report.pictures import Pictures
from genbench.report.sections import sections

Record = dict[str, Any]
Make = Callable[..., Record]


def again(record: Record, names: dict[str, float], day: int = 23, **recipe_changes: Any) -> Record:
    """Return the record of the same cell run on another day with `--metrics`: its numbers and curve have only those."""
    kept = {name: record["recipes"][record["numbers"][name]["recipe"]] for name in names if name in record["numbers"]}
    recipes = {name: kept.get(name, {"metric": name}) | recipe_changes for name in names}
    ids = {
        name: record["numbers"][name]["recipe"] if not recipe_changes and name in kept else f"r-{name}"
        for name in names
    }
    cell = record["cell"] | {"metrics": dict.fromkeys(names, 1)}
    curve = [
        point | {"numbers": {n: v for n, v in point["numbers"].items() if n in names}} for point in record["curve"]
    ]
    return record | {
        "id": cell_id(cell),
        "cell": cell,
        "numbers": {name: {"value": value, "recipe": ids[name]} for name, value in names.items()},
        "recipes": {ids[name]: recipes[name] for name in names},
        "curve": curve,
        "cost": record["cost"] | {"train_s": 1.5},
        "started_at": f"2026-11-{day}T08:00:00+00:00",
        "finished_at": f"2026-11-{day}T08:01:00+00:00",
    }


def page_of(records: list[Record], directory: Path) -> str:
    """Return the report without its pictures."""
    drawn = [(section, Pictures()) for section in sections(records)]
    return markdown(pages.page_parts(directory, in_order(records), drawn, machines(records), None))


def test_a_newer_record_of_one_metric_keeps_the_others_of_the_fuller_one(make: Make) -> None:
    full = make("vae", 0)
    newer = again(full, {"psnr": 20.5})
    for records in ([full, newer], [newer, full]):
        (whole,) = merged(records)
        assert whole["id"] == newer["id"]
        assert whole["numbers"] == full["numbers"] | {"psnr": newer["numbers"]["psnr"]}
        assert whole["cost"]["train_s"] == 1.5
        assert {number["recipe"] for number in whole["numbers"].values()} <= whole["recipes"].keys()
        table = frame(records)
        assert len(table) == 1
        assert table["psnr"][0] == 20.5
        assert table["fd"][0] == full["numbers"]["fd"]["value"]
    older = again(full, {"psnr": 1.0}, day=1)
    (whole,) = merged([older, full])
    assert whole["numbers"] == full["numbers"]


def test_pictures_are_those_of_the_newest_run_that_has_them(make: Make) -> None:
    full = make("vae", 0)
    newer = again(full, {"psnr": 20.5}) | {"artifacts": {"samples": "samples/newer.png"}}
    for records in ([full, newer], [newer, full]):
        (whole,) = merged(records)
        assert whole["artifacts"] == full["artifacts"] | {"samples": "samples/newer.png"}


def test_a_curve_keeps_the_numbers_that_the_newer_one_lacks(make: Make) -> None:
    full = make("vae", 0)
    newer = again(full, {"psnr": 20.5})
    table = curve_frame([full, newer])
    assert set(table["id"]) == {newer["id"]}
    expected = curve_frame([full])
    for kind in ("loss", "number"):
        mine, theirs = (
            each[each["kind"] == kind].drop(columns="id").reset_index(drop=True) for each in (table, expected)
        )
        assert mine.equals(theirs)


def test_points_that_only_an_older_curve_has_are_kept(make: Make) -> None:
    """Under a budget in seconds, two runs are evaluated at different steps."""
    full = make("vae", 0)
    newer = again(full, {"psnr": 20.5})
    newer["curve"] = [point | {"step": point["step"] + 7} for point in newer["curve"]]
    (whole,) = merged([full, newer])
    steps = [point["step"] for point in whole["curve"]]
    assert steps == sorted(steps)
    held = [(point["step"], point["numbers"]["fd"]) for point in whole["curve"] if "fd" in point["numbers"]]
    assert held == [(point["step"], point["numbers"]["fd"]) for point in full["curve"] if "fd" in point["numbers"]]
    losses = [point["step"] for point in whole["curve"] if point["losses"]]
    assert losses == [point["step"] for point in newer["curve"] if point["losses"]]


def test_a_number_of_two_recipes_stays_apart(make: Make) -> None:
    full = make("vae", 0)
    newer = again(full, {"ssim": 0.9, "psnr": 20.5}, metric_version=2)
    records = [full, newer]
    (whole,) = merged(records)
    assert {name: whole["numbers"][name]["value"] for name in ("ssim", "psnr")} == {"ssim": 0.9, "psnr": 20.5}
    assert [one["numbers"].keys() for one in with_older(whole)[1:]] == [{"ssim", "psnr"}]
    assert merged([whole]) == [whole]
    (section,) = sections(records)
    (row,) = section.rows
    first, second = (column for column in section.columns if column[0] == "ssim")
    values = {column[1]: row.values(column) for column in (first, second)}
    assert values == {"r-ssim": {0: 0.9}, full["numbers"]["ssim"]["recipe"]: {0: full["numbers"]["ssim"]["value"]}}
    assert row.cost(lambda cost: cost["train_s"]).n == 1
    table = frame(records)
    assert list(table["ssim"].dropna()) == [0.9, full["numbers"]["ssim"]["value"]]
    assert table["train_s"].count() == 1
    assert table["fd"].count() == 1


def test_a_cell_stands_in_the_table_of_each_recipe_of_the_main_metric(make: Make) -> None:
    full, rival = make("vae", 0), make("gan", 0)
    newer = again(full, {"fd": 7.0}, metric_version=2)
    found = {section.main[1]: section for section in sections([full, newer, rival]) if section.main}
    old = full["numbers"]["fd"]["recipe"]
    assert found.keys() == {"r-fd", old}
    assert {row.name: row.values(("fd", "r-fd")) for row in found["r-fd"].rows} == {"vae": {0: 7.0}}
    assert {row.name for row in found[old].rows} == {"vae", "gan"}
    assert [column for column in found[old].columns if column[0] == "fd"] == [("fd", old)]
    assert [column for column in found["r-fd"].columns if column[0] == "fd"] == [("fd", "r-fd")]


@pytest.mark.parametrize(
    "change", [{"extractor": {"extractor": "inception"}}, {"samples": 9}, {"batch_size": 9}, {"seed": 9}]
)
def test_cells_that_differ_in_more_than_their_metrics_are_not_merged(make: Make, change: Record) -> None:
    full = make("vae", 0)
    other = again(full, {"psnr": 20.5})
    other["cell"] = other["cell"] | change
    assert merged([full, other]) == [full, other]


@pytest.mark.parametrize("day", [1, 23])
def test_a_failed_run_hides_no_number_of_another_and_is_said(make: Make, failed: Any, tmp_path: Path, day: int) -> None:
    full = make("vae", 0)
    lost = failed(again(full, {"psnr": 20.5}, day), reason="loss became nan")
    records = [full, lost]
    assert merged(records) == records
    (section,) = sections(records)
    (row,) = section.rows
    assert (len(row.records), row.lost, len(row.failed)) == (1, 0, 1)
    page = page_of(records, tmp_path)
    assert "**1 of 1 cells failed in one run and finished in another**, whose numbers are shown: see [Failed]" in page
    assert "loss became nan" in page
    assert f"{full['numbers']['psnr']['value']:.2f}" in page
    assert sorted(frame(records)["status"]) == ["failed", "finished"]
    found = changes.compare([full], records)
    shown = changes.Shown(Path("a"), Path("b"), found, [], changes.judge(found, []))
    assert shown.verdict.exit_code == 0
    assert "failed in one run of NEW but finished in another, whose numbers are compared: vae on digits, seed 0" in (
        changes.FORMATS["table"](shown)
    )


def test_a_report_says_how_many_cells_have_several_runs(make: Make, tmp_path: Path) -> None:
    records = [make("vae", seed) for seed in range(3)]
    page = page_of([*records, again(records[0], {"psnr": 20.5})], tmp_path)
    assert "1 of 3 cells finished more than once: each number is the newest for its recipe" in page
    assert "finished more than once" not in page_of(records, tmp_path)


def test_a_comparison_takes_each_number_once(make: Make) -> None:
    base = [make("vae", seed) for seed in range(3)]
    fresh = [again(record, {"psnr": record["numbers"]["psnr"]["value"] + 1}) for record in base]
    found = {change.measure.name: change for change in changes.compare(base, [*base, *fresh]).changes}
    assert {found[name].new.n for name in ("psnr", "fd", "train_s")} == {3}
    assert found["psnr"].absolute == pytest.approx(1.0)
    assert found["fd"].outcome == "equal"


def test_a_comparison_finds_the_recipe_that_both_have(make: Make) -> None:
    base = [make("vae", seed) for seed in range(3)]
    fresh = [again(record, {"psnr": 40.0}, metric_version=2) for record in base]
    found = {change.measure.name: change for change in changes.compare(base, [*base, *fresh]).changes}
    assert found["psnr"].outcome == "equal"


def test_folders_are_merged_as_they_are_read(make: Make, tmp_path: Path) -> None:
    full = make("vae", 0)
    for record in (full, again(full, {"psnr": 20.5})):
        write_record(tmp_path, record)
    (row,) = genbench.load_records(tmp_path).to_dict("records")
    assert (row["psnr"], row["fd"]) == (20.5, full["numbers"]["fd"]["value"])


@pytest.mark.parametrize(
    ("files", "rows"),
    [({"a.dat": "1"}, 1), ({"a.dat": "2"}, 2), ({}, 2), (None, 2)],
    ids=["same", "other", "none", "-"],
)
def test_runs_that_read_other_files_beside_the_plugin_are_not_mixed(
    make: Make, files: dict[str, str] | None, rows: int
) -> None:
    full = make("vae", 0)
    full["cell"]["plugin"] = {**(full["cell"].get("plugin") or {}), "also_read": {"a.dat": "1"}}
    newer = again(full, {"psnr": 20.5})
    newer["cell"]["plugin"] = {**full["cell"]["plugin"], "also_read": files}
    found = merged([full, newer])
    assert len(found) == rows
    assert ("fd" in found[-1]["numbers"]) == (rows == 1)
