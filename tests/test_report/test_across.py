"""The part of a page about several datasets: scores, what has no score, and what must not be compared."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from genbench.cli.aggregate import aggregate
from genbench.errors import InputError
from genbench.records.record import write_record
from genbench.report import render
from genbench.report.across import Across, across
from genbench.report.across_charts import across_charts
from genbench.report.across_page import across_parts, conflict
from genbench.report.chart import Extent
from genbench.report.order import in_order
from genbench.report.sections import sections
from genbench.report.standings import standings

Make = Callable[..., dict[str, Any]]
Made = Callable[..., list[dict[str, Any]]]
BEST = {"gan": 10.0, "vae": 31.6227766}  # they score 0.5 and 0.25 between 100 and 1, on a log scale
ENDS = {"gaussian": 100.0, "real": 1.0}


@pytest.fixture
def made(make: Make) -> Made:
    """Make several seeds of each label on a dataset: fd is the given value, and differs by 1% from seed to seed."""

    def records(dataset: str, values: Mapping[str, float], seeds: int = 3, **changes: Any) -> list[dict[str, Any]]:
        found = []
        for label, value in {**ENDS, **values}.items():
            for seed in range(seeds):
                data = {"name": dataset, "fingerprint": f"{dataset}-print", "kind": "image"}
                record = make(label, seed, dataset=data, **changes)
                record |= {"curve": [], "cost": {}, "artifacts": {}}  # these take most of a page's time
                record["numbers"]["fd"]["value"] = value * (1 if label in ENDS else 1.01 ** (seed - 1))
                found.append(record)
        return found

    return records


def the_one(records: Iterable[dict[str, Any]], metric: str | None = None) -> Across:
    (found,) = across(sections(in_order(records), metric), metric)
    return found


def said(found: Across) -> str:
    return "\n\n".join(across_parts(found, [] if found.fault else standings(found), {}))


def of(records: Iterable[dict[str, Any]], label: str, dataset: str) -> list[dict[str, Any]]:
    return [r for r in records if (r["cell"]["label"], r["cell"]["dataset"]["name"]) == (label, dataset)]


def without(records: Sequence[dict[str, Any]], label: str, dataset: str) -> list[dict[str, Any]]:
    return [record for record in records if record not in of(records, label, dataset)]


def test_datasets_without_a_number_that_has_a_score_are_named(made: Made) -> None:
    """A logarithm needs a number above 0, which a model's may not be although the controls' are."""
    below = made("b", BEST)
    for record in below:
        if record["cell"]["label"] in BEST:
            record["numbers"]["fd"]["value"] = -1.0
    assert the_one(made("a", BEST) + below).fault == "fewer than two datasets have scores (b: no model has fd above 0)"


def test_scores_are_those_between_the_datasets_own_controls(made: Made) -> None:
    scaled = {label: 10 * value for label, value in (BEST | ENDS).items()}
    found = the_one(made("a", BEST) + made("b", scaled))
    assert found.fault is None
    for model, expected in (("gan", 0.5), ("vae", 0.25)):
        for scores in found.scores[model].values():
            assert sum(scores) / 3 == pytest.approx(expected, abs=1e-9)
    first, second = standings(found)
    assert (first.model, second.model, first.runs) == ("gan", "vae", 6)
    assert (first.middle.value, first.mean.value) == pytest.approx((0.5, 0.5), abs=1e-9)
    page = said(found)
    assert re.search(r"\| `gan` \| 0\.5000 ± [\d.]+ \| 0\.5000 ± [\d.]+ \| 6 \|", page)
    assert "| `gan` | `vae` | 2 | 0.2500 ±" in page
    assert "| 2 / 0 / 0 | 1.00 (0.61 to 1.00) |" in page
    assert "| b | fd ↓ | 1,000 (*gaussian*) | 10 (*real*) |" in page


def test_wins_are_those_of_the_datasets_own_tests(made: Made) -> None:
    found = the_one(made("a", BEST) + made("b", {"gan": 40.0, "vae": 20.0}) + made("c", {"gan": 20.0, "vae": 20.01}))
    assert found.wins(["gan", "vae"]) == {("gan", "vae"): [1, 1, 1]}
    assert found.wins(["vae", "gan"]) == {("vae", "gan"): [1, 1, 1]}
    higher = made("a", BEST) + made("b", BEST)  # here the classifier score falls as fd rises
    for record in higher:
        record["numbers"]["classifier_score"]["value"] = 500 / record["numbers"]["fd"]["value"]
    assert the_one(higher, "classifier_score").wins(["gan", "vae"]) == {("gan", "vae"): [2, 0, 0]}


def test_what_is_missing_is_counted_and_never_filled_in(made: Made, failed: Callable[..., dict[str, Any]]) -> None:
    three = {**BEST, "ae": 20.0, "dcgan": 15.0}
    records = [record for name in "abc" for record in made(name, three)]
    lost = of(records, "ae", "a")[0]
    records[records.index(lost)] = failed(lost)
    of(records, "gan", "b")[2]["numbers"]["fd"]["value"] = 0.0
    del of(records, "gan", "b")[1]["numbers"]["fd"]
    unsuited = [
        failed(r) | {"status": "not applicable", "unsuitable": "no <b>b</b>"} for r in of(records, "dcgan", "b")
    ]
    records = without(without(records, "dcgan", "b"), "vae", "c") + unsuited
    found = the_one(records)
    page = said(found)
    assert "- 1 failed: `ae` on a (1 of 3 seeds)." in page
    assert "- 1 not run: `vae` on c." in page
    assert "- 1 not applicable: `dcgan` on b (no &#60;b&#62;b&#60;/b&#62;)." in page
    assert "missing or not above 0: `gan` on b (2 of 3 seeds)." in page
    row = next(line for line in page.splitlines() if line.startswith("| `ae` | 0.3"))
    assert re.search(r"\| `ae` \| 0\.\d+ ± [\d.]+ \(2 of 3\) \|", page), row
    assert len(found.scores["ae"]["a"]) == 2
    assert "c" not in found.scores["vae"]
    assert found.shared == (("ae", "gan", "vae"), ("a", "b"))
    assert "| `dcgan` | `vae` | 1 |" in page or "| `vae` | `dcgan` | 1 |" in page
    assert "No interval because of a single seed on a dataset: `gan`." in page


def test_models_are_compared_on_the_datasets_that_they_share(made: Made) -> None:
    three = {**BEST, "ae": 20.0}
    records = without([r for name in "abc" for r in made(name, three)], "ae", "c")
    found = the_one(records)
    assert found.shared == (("ae", "gan", "vae"), ("a", "b"))
    page = said(found)
    assert "Over the 2 datasets on which all models in the table have scores: a, b." in page
    assert "Not included: c (`ae` without a score)." in page
    assert "| `gan` | `vae` | 3 |" in page
    assert "not the same for all pairs" in page
    # Left out: a model that ran on few datasets, and the one that shares least where no dataset is shared by all.
    little = [r for name in "abcde" for r in made(name, BEST)] + made("a", {"ae": 9.0}) + made("b", {"ae": 9.0})
    assert the_one(little).shared == (("gan", "vae"), ("a", "b", "c", "d", "e"))
    apart = the_one(without(without(records, "ae", "b"), "vae", "d") + made("d", {"gan": 10.0, "vae": 20.0}))
    assert apart.shared == (("gan", "vae"), ("a", "b", "c", "d"))
    assert "`ae` has no score on some of them, and is only in the tables below." in said(apart)


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        ({"gaussian": 1.0, "real": 1.0}, "the control at 1 is not better than the one at 0"),
        ({"gaussian": 100.0, "real": 0.0}, "one of its controls is not above 0"),
    ],
)
def test_a_dataset_without_a_scale_is_left_out_with_the_reason(made: Made, ends: dict[str, float], reason: str) -> None:
    records = made("a", BEST) + made("b", BEST) + made("c", {**BEST, **ends})
    page = said(the_one(records))
    assert f"- c has no scores: {reason}" in page
    assert "Over the 2 datasets" in page
    without_real = without(made("a", BEST) + made("b", BEST), "real", "b")
    assert "b: no control real under its recipe" in str(the_one(without_real).fault)


def test_texts_have_ngram_where_images_have_gaussian(made: Made, make: Make) -> None:
    records = without(without(made("a", BEST) + made("b", BEST), "gaussian", "a"), "gaussian", "b")
    for record in of(records, "real", "a") + of(records, "real", "b"):
        other = make("real", record["cell"]["seed"], dataset=record["cell"]["dataset"])
        other["cell"] |= {"model": "ngram", "label": "ngram"}
        other["numbers"]["fd"]["value"] = 100.0
        records.append(other)
    assert [place.zero for place in the_one(records).scored] == ["ngram", "ngram"]


def test_recipes_that_differ_on_one_dataset_are_never_mixed(made: Made) -> None:
    records = made("a", BEST) + made("b", BEST) + made("c", BEST)
    records += made("a", BEST, recipe_changes={"samples": 100})
    found = the_one(records)
    assert [place.name for place in found.places] == ["b", "c"]
    line = str(conflict(found))
    assert re.match(r"a was measured under 2 recipes \(\w+, \w+\), which differ in samples: (500, 100|100, 500)$", line)
    assert "a is left out. On a, fd was measured under 2 recipes" in said(found)


def test_budgets_and_models_that_differ_are_kept_apart(made: Made) -> None:
    longer = [r for name in "ab" for r in made(name, BEST, budget="9000steps") if r["cell"]["role"] == "model"]
    found = across(sections(in_order(made("a", BEST) + made("b", BEST) + made("c", BEST) + longer)))
    assert [(one.budget, len(one.places)) for one in found] == [("3000steps", 3), ("9000steps", 2)]
    assert found[0].slug != found[1].slug
    other = the_one(made("a", BEST) + made("b", BEST) + made("b", {"gan": 5.0}, batch_size=32))
    assert [*other.outcomes] == ["gan (batch size 32)", "gan (batch size 64)", "vae"]
    assert [*other.outcomes["gan (batch size 64)"]] == ["a", "b"]
    # A different extractor on another dataset does not make it a different model.
    assert [*the_one(made("a", BEST, extractor={"extractor": "x"}) + made("b", BEST)).outcomes] == ["gan", "vae"]


@pytest.mark.parametrize(("count", "diagram"), [(5, False), (9, False), (10, True)])
def test_no_critical_difference_is_claimed_of_few_datasets(made: Made, count: int, diagram: bool) -> None:
    page = said(the_one(r for place in range(count) for r in made(f"set{place}", BEST)))
    assert ("Mean ranks: `gan` 1.00, `vae` 2.00." in page) is diagram
    assert (f"No critical-difference diagram: ranks over {count} datasets" in page) is not diagram
    assert ("Friedman" in page) is diagram


def test_names_of_strangers_stay_names(made: Made) -> None:
    evil = "<img src=x onerror=alert(1)>|`$x$`"
    records = made(evil, {}) + made("b", {})
    for dataset in (evil, "b"):
        for record in made(dataset, BEST):
            if record["cell"]["role"] == "model":
                record["cell"]["label"] += "|</td><script>"
                records.append(record)
    page = said(the_one(records))
    assert "<img" not in page
    assert "<script" not in page
    for table in re.findall(r"(?:^\|.*\n?)+", page, re.MULTILINE):
        assert len({line.count("|") for line in table.strip().splitlines()}) == 1


def test_a_report_has_the_part_only_where_several_datasets_stand(made: Made, tmp_path: Path) -> None:
    one = render(tmp_path / "one", made("a", BEST)).read_text()
    assert "## Across datasets" not in one
    two = render(tmp_path / "two", made("a", BEST) + made("b", BEST)).read_text()
    assert "## Across datasets" in two
    for name in re.findall(r"\((figures/aggregate[^)]*)\)", two):
        assert (tmp_path / "two" / name).stat().st_size > 5000
    assert two.count("figures/aggregate") == 2
    bare = [r for name in "ab" for r in made(name, BEST) if r["cell"]["role"] == "model"]
    none = render(tmp_path / "bare", bare).read_text()
    assert "Nothing is aggregated for `3000steps`: fewer than two datasets have scores (a: no control gaussian" in none


def written(directory: Path, records: Iterable[dict[str, Any]]) -> Path:
    for record in records:
        write_record(directory, record)
    return directory


def test_the_command_writes_a_page_and_tables_of_several_folders(made: Made, tmp_path: Path) -> None:
    first = written(tmp_path / "first", made("a", BEST))
    second = written(tmp_path / "second", without(made("b", BEST) + made("c", BEST), "vae", "c"))
    written(second, [r for r in made("a", BEST, budget="9steps") if r["cell"]["role"] == "model"])
    out = tmp_path / "out"
    answer = CliRunner().invoke(aggregate, [str(first), str(second), "--out", str(out)], catch_exceptions=False)
    assert answer.exit_code == 0
    lines = answer.output.splitlines()
    assert lines[0].startswith("3000steps, scores over a, b:")
    assert lines[1].split() == ["model", "interquartile", "mean", "mean", "runs"]
    assert [line.split()[0] for line in lines[2:4]] == ["gan", "vae"]
    assert "9steps: nothing is aggregated, because only a has it, and two are needed" in lines
    assert lines[-1] == str(out / "aggregate.md")
    table = pd.read_csv(out / "aggregate.csv")
    assert table["model"].tolist() == ["gan", "vae"]
    assert table["interquartile_mean"].tolist() == pytest.approx([0.5, 0.25], abs=1e-9)
    scores = pd.read_csv(out / "scores.csv")
    assert scores["budget"].value_counts()["9steps"] == 6
    scores = scores[scores["budget"] == "3000steps"]
    assert scores["state"].value_counts().to_dict() == {"measured": 15, "not run": 1}
    gan = scores[scores["model"] == "gan"]
    assert gan["score"].mean() == pytest.approx(0.5, abs=1e-9)
    assert (gan["at_0"] == 100).all()
    page = (out / "aggregate.md").read_text()
    assert page.startswith("# Aggregate: gan and vae on a, b and c\n")
    assert "Nothing is aggregated for `9steps`: only a has it" in page
    assert "genbench aggregate " in page


@pytest.mark.parametrize(
    ("change", "arguments", "line"),
    [
        ("none", ["--metric", "beauty"], "no record has the number 'beauty'; those with a direction are fd, class"),
        ("none", ["--metric", "feature_rank"], "feature_rank has no direction"),
        (
            "one dataset",
            [],
            "nothing can be aggregated by fid, fd_dinov2, fad or fd: for 3000steps, only a has it, and two are needed",
        ),
        ("one model", [], "only the model gan has scores, and two are needed"),
        ("recipes", [], "which differ in samples: "),
        ("no fd", [], "nothing can be aggregated by fid, fd_dinov2, fad or fd: no dataset has it"),
        ("no folder", [], "does not exist"),
        ("no records", [], "holds no records"),
    ],
)
def test_what_cannot_be_aggregated_is_refused_in_one_line(
    made: Made, tmp_path: Path, change: str, arguments: list[str], line: str
) -> None:
    records = made("a", BEST, seeds=2) + made("b", BEST, seeds=2)
    for record in records:
        record["numbers"]["feature_rank"] = {"value": 64.0, "recipe": record["numbers"]["fd"]["recipe"]}
        if change == "no fd":
            del record["numbers"]["fd"]
    if change == "one dataset":
        records = made("a", BEST)
    if change == "one model":
        records = without(without(records, "vae", "a"), "vae", "b")
    if change == "recipes":
        records += made("a", BEST, recipe_changes={"samples": 100}, samples=100)
    directory = tmp_path / "records of a run"
    if change == "no records":
        directory.mkdir()
    elif change != "no folder":
        written(directory, records)
    out = tmp_path / "out"
    with pytest.raises(InputError) as refused:
        CliRunner().invoke(aggregate, [str(directory), *arguments, "--out", str(out)], catch_exceptions=False)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not out.exists()


def test_the_charts_show_scores_by_seed_and_the_share_of_runs_above_each(made: Made) -> None:
    found = the_one([*made("a", BEST), *made("b", BEST)])
    charts = across_charts(found, standings(found))
    assert list(charts) == ["scores", "places"], "ranks need ten datasets"
    middles, shares = charts["scores"].panels
    assert list(middles.marks) == ["gan", "vae"], "best first"
    assert middles.marks["gan"][0].x.value == pytest.approx(0.5)
    steps = [(mark.x.value, mark.y) for mark in shares.marks["gan"]]
    heights = [height.value for _, height in steps if isinstance(height, Extent)]
    assert heights == pytest.approx([1.0, 2 / 3, 1 / 3, 0.0, 0.0]), "three seeds, the same on both datasets"
    below = 0.5 - math.log(1.01) / math.log(100)  # the score of the seed whose fd is 1% higher
    assert [score for score, _ in steps[1:4]] == pytest.approx([below, 0.5, 1 - below])
    (places,) = charts["places"].panels
    assert places.rows == ["a", "b"]
    assert [mark.y for mark in places.marks["vae"]] == [0, 1]
    assert [(seed, round(score, 4)) for seed, score, _ in places.marks["vae"][0].seeds] == [
        (seed, round(0.25 - (seed - 1) * math.log(1.01) / math.log(100), 4)) for seed in range(3)
    ]
    assert [level for _, level in places.uprights] == [0.0, 1.0]
