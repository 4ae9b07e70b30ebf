from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from genbench.config.target import Target
from genbench.errors import InputError
from genbench.report import render
from genbench.report.drawing import plain_style, styles
from genbench.report.machines import machines
from genbench.report.order import in_order
from genbench.report.sections import sections
from genbench.report.target_chart import profile_chart
from genbench.report.target_figure import profile_figure
from genbench.report.target_page import stopped_note, target_parts
from genbench.report.to_target import Place, Profiles, check_held, places, profiles

Make = Callable[..., dict[str, Any]]
Fail = Callable[..., dict[str, Any]]
STEPS = (0, 600, 1200, 1800, 2400, 3000)
TARGET = Target("fd", "<", 5.0)


def cell(make: Make, label: str, seed: int, dataset: str, met_at: int | None, **more: Any) -> dict[str, Any]:
    """Return a record whose fd is 9 before the step `met_at`, and 1 from then on."""
    record = make(label, seed, **more)
    record["cell"]["dataset"] = {**record["cell"]["dataset"], "name": dataset, "fingerprint": dataset}
    record["id"] = f"{record['id']}{dataset}"
    for point in record["curve"]:
        if point["numbers"]:
            point["numbers"]["fd"] = 9.0 if met_at is None or point["step"] < met_at else 1.0
    return record


def benchmark(make: Make, met_at: dict[str, dict[str, Sequence[int | None]]]) -> list[dict[str, Any]]:
    """Make records from a mapping: model -> dataset -> the step at which each seed met the target."""
    return [
        cell(make, label, seed, dataset, at)
        for label, datasets in met_at.items()
        for dataset, seeds in datasets.items()
        for seed, at in enumerate(seeds)
    ]


def found(records: list[dict[str, Any]], target: Target = TARGET) -> list[Place]:
    ordered = in_order(records)
    return places(sections(ordered), target, machines(ordered))


TWO = {
    "gan": {"a": (600, 600, None), "b": (1200, 1200, 1200)},
    "vae": {"a": (1200, 1800, 1800), "b": (600, 600, None)},
    "ae": {"a": (None, None, 600), "b": (None, None, None)},
}


def test_the_table_has_medians_over_seeds_with_misses(make: Make) -> None:
    made = found(benchmark(make, TWO))
    assert [place.name for place in made] == ["a", "b"]
    page = "\n".join(target_parts(TARGET, made, None, None))
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith(("| a ", "| b "))]
    assert [row[:5] for row in rows] == [
        ["a", "`gan`", "2 of 3", "600", "38,400"],
        ["a", "`vae`", "3 of 3", "1,800", "115,200"],
        ["a", "`ae`", "1 of 3", "∞", "∞"],
        ["b", "`vae`", "2 of 3", "600", "38,400"],
        ["b", "`gan`", "3 of 3", "1,200", "76,800"],
        ["b", "`ae`", "0 of 3", "∞", "∞"],
    ]
    assert rows[0][6] == "330 G"  # 38,400 items of 8.6e6 FLOPs each
    assert float(rows[1][5]) == pytest.approx(1800 * 64 / 26000, rel=1e-3)


def test_failed_seeds_are_misses_and_models_without_the_number_are_named(make: Make, failed: Fail) -> None:
    records = benchmark(make, {"gan": {"a": (600, 600, 600)}})
    records += [failed(cell(make, "gan", seed, "a", None)) for seed in (3, 4, 5, 6)]
    records += [failed(cell(make, "dcgan", 0, "a", None))]
    silent = cell(make, "ae", 0, "a", None)
    for point in silent["curve"]:
        point["numbers"].pop("fd", None)
    (place,) = found([*records, silent])
    assert (place.found["gan"].met, place.found["gan"].seeds) == (3, 7)
    assert place.found["gan"].median["step"] == math.inf
    assert (place.found["dcgan"].met, place.found["dcgan"].seeds) == (0, 1)
    assert place.unknown == ("ae",)
    assert "Not measured on the curves of `ae` on a." in target_parts(TARGET, [place], None, None)


def test_a_ratio_is_to_the_mean_of_real_under_the_same_recipe(make: Make) -> None:
    """`real` has 2 and 4, so the ratio of fd 9 is 3, and that of fd 1 a third."""
    records = benchmark(make, {"gan": {"a": (1200,)}})
    for seed, value in enumerate((2.0, 4.0)):
        real = cell(make, "real", seed, "a", None)
        real["numbers"]["fd"]["value"] = value
        records.append(real)
    for bound, step in ((3.0, 1200), (3.01, 0), (1 / 3, math.inf), (0.34, 1200)):
        (place,) = found(records, Target("fd_ratio", "<", bound))
        assert place.found["gan"].median["step"] == step
    without = found(records[:1], Target("fd_ratio", "<", 3.0))
    assert without == []
    assert "or the control real was not measured" in target_parts(Target("fd_ratio", "<", 3.0), [], None, None)[1]


def test_numbers_of_two_recipes_are_looked_at_apart(make: Make) -> None:
    records = benchmark(make, {"gan": {"a": (600,)}})
    records.append(cell(make, "vae", 0, "a", 1200, recipe_changes={"samples": 100}))
    made = found(records)
    assert [list(place.found) for place in made] == [["gan"], ["vae"]]
    assert len({place.name for place in made}) == 2


def test_only_the_curves_of_a_recipe_count_for_it_where_a_table_has_several(make: Make) -> None:
    """The recipes of a number that is not the table's main one share that table."""
    records = benchmark(make, {"gan": {"a": (600,)}, "vae": {"a": (600,)}})
    recipes = [record["numbers"]["classifier_score"]["recipe"] for record in records]
    records[1]["numbers"]["classifier_score"]["recipe"] = "another"
    records[1]["recipes"]["another"] = {**records[1]["recipes"][recipes[1]], "samples": 100}
    made = found(records, Target("classifier_score", ">", 1.0))
    assert {place.recipe: list(place.found) for place in made} == {recipes[0]: ["gan"], "another": ["vae"]}
    assert {place.recipe: place.unknown for place in made} == {recipes[0]: ("vae",), "another": ("gan",)}


def test_seconds_of_several_machines_are_not_compared(make: Make) -> None:
    records = benchmark(make, TWO)
    next(each for each in records if each["cell"]["label"] == "vae")["environment"]["processor"] = "another"
    made = found(records)
    assert [place.one_machine for place in made] == [False, True]
    page = "\n".join(target_parts(TARGET, made, None, None))
    assert re.search(r"^\| a \| `gan` \| 2 of 3 \| 600 \| 38,400 \| – \| 330 G \|$", page, re.MULTILINE)
    over = profiles(made)
    assert over is not None
    assert list(over.ratios) == ["items", "flops"]


def test_the_profile_is_over_the_datasets_that_all_models_share(make: Make) -> None:
    over = profiles(found(benchmark(make, {**TWO, "dcgan": {"a": (600,), "b": (600,)}})))
    assert over is not None
    assert over.ratios["items"] == {
        "gan": [1.0, 2.0],
        "vae": [1.0, 3.0],
        "ae": [math.inf, math.inf],
        "dcgan": [1.0, 1.0],
    }
    assert (over.datasets, over.left_out) == (("a", "b"), ())
    third = {label: {**places, "c": (600,)} for label, places in TWO.items() if label != "ae"}
    over = profiles(found(benchmark(make, {**TWO, **third})))
    assert over is not None
    assert (over.datasets, over.left_out) == (("a", "b"), ("c",))
    assert over.ratios["items"]["gan"] == [1.0, 2.0]
    page = "\n".join(target_parts(TARGET, [], over, None))
    assert page.startswith("### fd")
    for few in ({"gan": TWO["gan"]}, {label: {"a": (600,)} for label in TWO}, {"gan": {"a": (0,)}, "ae": {"b": (0,)}}):
        made = found(benchmark(make, few))
        assert profiles(made) is None
        assert (
            "No performance profile: it needs at least two models that share at least two"
            in target_parts(TARGET, made, None, None)[-1]
        )


def test_a_dataset_under_two_budgets_is_no_two_datasets(make: Make) -> None:
    records = benchmark(make, {label: {"a": (600,), "b": (600,)} for label in ("gan", "vae")})
    more = [cell(make, label, 0, "b", 600, budget="9000steps") for label in ("gan", "vae")]
    assert profiles(found([*records, *more])) is None
    assert profiles(found(records)) is not None


def test_the_figure_steps_where_the_shares_do(make: Make) -> None:
    over = profiles(found(benchmark(make, TWO)))
    assert over is not None
    with plain_style():
        figure = profile_figure(over, styles(TWO))
    assert [len(axis.lines) for axis in figure.axes] == [3, 3, 3]
    drawn = {
        str(line.get_label()): ([*map(float, line.get_xdata())], [*map(float, line.get_ydata())])  # type: ignore[arg-type]
        for line in figure.axes[0].lines
    }
    end = 1.15 * 3
    for name, (where, shares) in {
        "gan": ([1.0, 2.0, end], [0.5, 1.0, 1.0]),
        "vae": ([1.0, 3.0, end], [0.5, 1.0, 1.0]),
        "ae": ([1.0, end], [0.0, 0.0]),
    }.items():
        assert drawn[name][0] == pytest.approx(where)
        assert drawn[name][1] == pytest.approx(shares, abs=0.01)


def test_a_target_that_no_curve_of_a_folder_holds_is_refused(make: Make, tmp_path: Path) -> None:
    records = benchmark(make, {"gan": {"a": (600,)}})
    check_held([TARGET, Target("classifier_score", ">", 1.0)], records, tmp_path)
    for target, message in (
        ("fid<5", f"target 'fid<5': no curve in {tmp_path} has fid; they have fd, classifier_score"),
        ("fd_ratio<5", f"target 'fd_ratio<5': {tmp_path} has no record of the control real with fd; run it with"),
    ):
        with pytest.raises(InputError, match=f"^{message}"):
            check_held([Target.parse(target)], records, tmp_path)
    check_held([Target.parse("fd_ratio<5")], [*records, cell(make, "real", 0, "a", None)], tmp_path)


def test_the_page_has_the_section_and_what_stopped(make: Make, tmp_path: Path) -> None:
    records = benchmark(make, {label: {name: seeds[:1] for name, seeds in on.items()} for label, on in TWO.items()})
    for record in records:
        if record["cell"]["label"] == "gan":
            record["cell"]["stop_at_target"] = ["fd<5"]
    assert "training of `gan` ended" in stopped_note(sections(in_order(records))[0])
    page = render(tmp_path, records, targets=[TARGET, Target("psnr", ">", 1.0)]).read_text()
    assert page.count("**Stopped at target**") == 2
    section = page[page.index("\n## Time to target\n") :]
    picture = re.search(r"!\[[^\]]*\]\((figures/time-to-[^)]*\.png)\)", section)
    assert picture is not None
    assert (tmp_path / picture[1]).exists()
    assert "Nothing to show: no curve has `psnr`." in section
    assert re.search(r"^\| `gan` \| 50% \| 100% \| 100% \| 100% \|$", section, re.MULTILINE)


def test_the_chart_has_a_step_at_each_ratio() -> None:
    ratios = {"items": {"gan": [1.0, 4.0], "vae": [2.0, math.inf]}, "flops": {"gan": [math.inf], "vae": [math.inf]}}
    chart = profile_chart(Profiles(ratios, ("a", "b"), ()))
    assert chart is not None
    (panel,) = chart.panels  # no model meets it in FLOPs, and seconds are unknown
    steps = {name: [(mark.x.value, mark.y.value) for mark in marks] for name, marks in panel.marks.items()}  # type: ignore[union-attr]
    assert steps == {
        "gan": [(1.0, 0.5), (4.0, 1.0), (pytest.approx(4.6), 1.0)],
        "vae": [(1.0, 0.0), (2.0, 0.5), (pytest.approx(4.6), 0.5)],
    }
    assert profile_chart(Profiles({"items": ratios["flops"]}, ("a", "b"), ())) is None
