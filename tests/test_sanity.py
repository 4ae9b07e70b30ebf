"""Sanity checks of metrics: planted metrics with known blind spots, what is drawn, and the committed table."""

from __future__ import annotations

import csv
import importlib
import math
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from genbench.errors import InputError
from genbench.metrics import METRICS, Evidence, Metric, NotMeasurable, Value
from genbench.sanity.candidates import choose
from genbench.sanity.checks import CHECKS, YARDSTICKS
from genbench.sanity.distributions import MODE_DISTANCE, MODES
from genbench.sanity.finding import Finding
from genbench.sanity.judging import judge
from genbench.sanity.purposes import PURPOSES, readings
from genbench.sanity.suite import draws, run_checks
from genbench.sanity.tables import END, as_csv, as_markdown, as_text, between_markers
from genbench.seeding import generator

ROOT = Path(__file__).parent.parent
command = importlib.import_module("genbench.cli.metrics")  # in the package, this name is the command itself
PAGE = (ROOT / "docs" / "metrics.md").read_text()


def planted(
    name: str, function: Callable[[Evidence], Any], direction: Any = "lower", needs: tuple[str, ...] = ("samples",)
) -> Metric:
    return Metric(name, (Value(name, direction),), needs, 2, function, "planted", "https://example.org")


def gap_of_means(evidence: Evidence) -> dict[str, float]:
    return {"means": float((evidence.samples.mean(dim=0) - evidence.reference.mean(dim=0)).norm())}


PLANTED = (
    planted("constant", lambda _: {"constant": 1.0}),
    planted("means", gap_of_means),
    planted("reversed", lambda evidence: {"reversed": gap_of_means(evidence)["means"]}, "higher"),
    planted("rows", lambda evidence: {"rows": 1000.0 / len(evidence.samples)}),
    planted("first", lambda evidence: {"first": float(evidence.samples[0].norm()) ** 2}),
)


@pytest.fixture(scope="module")
def verdicts() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for finding in run_checks(PLANTED, 5, count=40):
        found[finding.number][finding.check] = finding.verdict
    return found


def expecting(expectation: str, purpose: Any = "distance") -> set[str]:
    return {check.name for check in CHECKS.values() if check.expects.get(purpose) == expectation and not check.ideal}


def test_a_number_that_never_moves_is_blind_wherever_something_is_wrong(verdicts: dict[str, dict[str, str]]) -> None:
    found = verdicts["constant"]
    assert {name for name, verdict in found.items() if verdict == "blind"} == expecting("worse")
    assert {name for name, verdict in found.items() if verdict == "pass"} == set(found) - expecting("worse")


def test_a_distance_of_means_sees_means_alone(verdicts: dict[str, dict[str, str]]) -> None:
    found = verdicts["means"]
    assert found["shifted mean"] == found["one bad feature of many"] == found["sequential mode dropping"] == "pass"
    assert found["widened spread"] == "blind"
    assert found["order of the items"] == "pass"
    assert found["scale of all features"] == "wrong"  # it is ten times as large


def test_the_same_number_read_the_other_way_is_wrong(verdicts: dict[str, dict[str, str]]) -> None:
    assert verdicts["reversed"]["shifted mean"] == verdicts["reversed"]["one bad feature of many"] == "wrong"


def test_a_number_that_depends_on_counts_or_order_is_found_out(verdicts: dict[str, dict[str, str]]) -> None:
    assert verdicts["rows"]["few samples"] == "wrong"
    assert verdicts["rows"]["shifted mean"] == "blind"
    assert verdicts["first"]["few samples"] == "pass"


def test_every_number_of_a_feature_metric_has_a_purpose_and_ten_checks() -> None:
    for metric in choose():
        assert readings(metric).keys() <= PURPOSES.keys()
    known = {value.name for metric in METRICS.values() for value in metric.values}
    assert PURPOSES.keys() <= known
    for purpose in {reading.purpose for reading in PURPOSES.values()}:
        assert sum(purpose in check.expects for check in CHECKS.values()) >= 11
    for name, level in YARDSTICKS.values():
        assert level in CHECKS[name].levels


def drawn(name: str, level: float) -> Any:
    (clean, *_), failing = draws(CHECKS[name], 3, 400)
    return clean, failing[CHECKS[name].levels.index(level)]


def modes_of(samples: torch.Tensor) -> list[int]:
    centres = MODE_DISTANCE * torch.cat([torch.eye(MODES), -torch.eye(MODES)])
    return torch.cdist(samples, centres).argmin(dim=1).bincount(minlength=2 * MODES).tolist()


def test_draws_of_one_seed_differ_by_the_failure_alone() -> None:
    clean, failing = drawn("shifted mean", 1)
    assert torch.equal(failing.samples, clean.samples + 1)
    assert torch.equal(failing.reference, clean.reference)
    clean, failing = drawn("narrowed spread", 0.5)
    assert torch.equal(failing.samples, clean.samples * 0.5)
    assert torch.equal(drawn("few samples", 0.75)[1].samples, drawn("few samples", 0.5)[1].samples[:100])


def test_modes_are_dropped_weighted_and_invented_as_said() -> None:
    clean, failing = drawn("sequential mode dropping", 4)
    assert modes_of(clean.samples) == modes_of(clean.reference) == [50] * 8 + [0] * 8
    assert modes_of(failing.samples) == [100] * 4 + [0] * 12
    assert modes_of(drawn("simultaneous mode dropping", 1)[1].samples) == [400] + [0] * 15
    assert modes_of(drawn("simultaneous mode dropping", 0.8)[1].samples)[0] == pytest.approx(50 + 280, abs=20)
    assert modes_of(drawn("uneven modes", 3)[1].samples) == [80] * 4 + [20] * 4 + [0] * 8
    assert modes_of(drawn("mode invention", 8)[1].samples) == [25] * 16


def test_copies_outliers_and_repeats_are_as_many_as_said() -> None:
    clean, failing = drawn("copies", 0.5)
    assert (failing.samples == clean.reference).all(dim=1).tolist() == [True] * 200 + [False] * 200
    clean, failing = drawn("near copies", 1)
    assert float((failing.samples - clean.reference).std()) == pytest.approx(0.1, abs=0.005)
    assert len(drawn("repeated samples", 4)[1].samples.unique(dim=0)) == 80
    point = drawn("one point repeated", 1)[1].samples.unique(dim=0)
    assert point.shape == (1, 8)
    assert point.norm() == drawn("one point repeated", 0.5)[0].samples.norm(dim=1).min()
    clean, failing = drawn("outliers in the samples", 0.01)
    assert (failing.samples != clean.samples).any(dim=1).sum() == 4
    clean, failing = drawn("outliers in the reference", 0.01)
    assert torch.equal(clean.samples, failing.samples)
    assert (failing.reference != clean.reference).any(dim=1).sum() == 4


def test_another_order_holds_the_same_items_and_a_high_dimension_is_compared_with_its_own() -> None:
    clean, failing = drawn("order of the items", 1)
    for before, after in zip(clean, failing, strict=True):
        assert not torch.equal(before, after)
        assert torch.equal(before.sum(dim=1).sort().values, after.sum(dim=1).sort().values)
    clean, failing = draws(CHECKS["one bad feature of many"], 0, 20)
    assert [draw.samples.shape[1] for draw in clean] == [draw.samples.shape[1] for draw in failing] == [4, 64, 512]
    assert all(
        ((bad.samples - good.samples).mean(dim=0) > 4).sum() == 1 for good, bad in zip(clean, failing, strict=True)
    )


NOISE = [0.01, -0.01, 0.02, -0.02, 0.0]


def around(mean: float) -> list[float]:
    return [mean + noise for noise in NOISE]


@pytest.mark.parametrize(
    ("expectation", "levels", "ordered", "verdict"),
    [
        ("worse", (1, 2, 3), True, "pass"),
        ("worse", (1, 2, 2), True, "pass"),
        ("worse", (0, 0, 0), True, "blind"),
        ("worse", (-1, -2, -3), True, "wrong"),
        ("worse", (1, 3, 2), True, "wrong"),
        ("worse", (1, 3, 2.95), True, "pass"),
        ("worse", (1, 3, 2), False, "pass"),
        ("worse", (1, 0, 2), False, "blind"),
        ("worse", (1, 0, -2), False, "wrong"),
        ("same", (0, 0.05), True, "pass"),
        ("same", (0, 0.2), True, "wrong"),
        ("same", (-0.2, 0), True, "wrong"),
        ("no better", (0.2, 5), True, "pass"),
        ("no better", (5, -0.2), True, "wrong"),
        ("no worse", (-5, -0.2), True, "pass"),
        ("no worse", (0.2, -5), True, "wrong"),
    ],
)
def test_verdicts(expectation: Any, levels: tuple[float, ...], ordered: bool, verdict: str) -> None:
    assert judge(expectation, [around(level) for level in levels], 1.0, ordered=ordered).verdict == verdict


def test_a_large_mean_within_its_noise_is_no_move() -> None:
    wild = [0.9, -0.8, 0.9, -0.9, 0.8]
    assert judge("same", [wild], 1.0, ordered=True).verdict == "pass"
    assert judge("worse", [wild], 1.0, ordered=True).verdict == "blind"


def test_whole_units_in_a_quarter_of_the_seeds_are_a_move_however_noisy() -> None:
    heavy = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 40.0, 2.0]
    assert judge("same", [heavy], 1.0, ordered=True).verdict == "wrong"
    assert judge("no worse", [heavy], 1.0, ordered=True).verdict == "wrong"
    assert judge("no better", [heavy], 1.0, ordered=True).verdict == "pass"
    assert judge("same", [heavy], 3.0, ordered=True).verdict == "pass"
    assert judge("same", [heavy], 0.0, ordered=True).verdict == "pass"  # it has no unit


def raising(error: BaseException) -> Callable[[Evidence], Any]:
    def function(_: Evidence) -> Any:
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (raising(KeyError("x\ny")), r"^metric 'mine': raised KeyError: .* \(check 'identity', seed 0\); fix it$"),
        (raising(SystemExit(0)), r"^metric 'mine': raised SystemExit: 0 \(check 'identity', seed 0\); fix it$"),
        (lambda _: {"mine": math.nan}, r"^metric 'mine': returned nan as mine .*; return a finite float, leave it"),
        (lambda _: {"mine": "1"}, r"^metric 'mine': returned '1' as mine "),
        (lambda _: {"yours": 1.0}, r"^metric 'mine': returned a number called 'yours' .* but declares mine; "),
        (lambda _: 1.0, r"^metric 'mine': returned float .*; return a dict of numbers by name: mine$"),
    ],
)
def test_a_third_partys_fault_is_one_line(function: Callable[[Evidence], Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        run_checks([planted("mine", function)], 5)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_measured_says_why() -> None:
    def few(evidence: Evidence) -> dict[str, float]:
        if len(evidence.samples) < 40:
            raise NotMeasurable("few: too few")
        return {} if evidence.samples.shape[1] == 512 else {"few": float(evidence.samples.mean())}

    found = {finding.check: finding for finding in run_checks([planted("few", few)], 2, count=40)}
    missing = {name: finding.reason for name, finding in found.items() if finding.verdict == "not measurable"}
    high = {check.name: "few: returned no number of this name" for check in CHECKS.values() if check.levels[-1] == 512}
    assert missing == {"few samples": "few: too few", **high}
    assert "few, few samples: not measurable: few: too few" in as_text(list(found.values()))


MODULE = """
from genbench.metrics import Metric, Value

def measure(evidence):
    return {"spread_gap": float((evidence.samples.std() - evidence.reference.std()).abs())}

METRIC = Metric("spread", (Value("spread_gap", "lower"),), ("samples", "reference"), 2, measure, "mine", "")
LOGITS = Metric("logits", (Value("sure", "higher"),), ("sample_logits",), 2, measure, "mine", "")
DIAGNOSTIC = Metric("diagnostic", (Value("rank", None),), ("samples",), 2, measure, "mine", "")
OTHER = Metric("frechet_distance", (Value("fd", "lower"),), ("samples",), 2, measure, "mine", "")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "planted_spread.py").write_text(MODULE)
    (tmp_path / "planted_fault.py").write_text("raise RuntimeError('no\\nway')")
    (tmp_path / "planted_exit.py").write_text("raise SystemExit(0)")  # the command must not end as if all were well
    monkeypatch.chdir(tmp_path)
    return "planted_spread"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["recal"], r"^metric 'recal': there is no metric of this name; did you mean recall\?$"),
        (["class_fid"], r"^metric 'class_fid': needs reference labels; the checks draw only features \(samples, "),
        (["feature_rank"], r"^metric 'feature_rank': has no number with a better direction"),
        (["planted_nowhere:X"], r"^metric 'planted_nowhere:X': 'planted_nowhere' cannot be imported: ModuleNotFound"),
        (["planted_exit:X"], r"cannot be imported: SystemExit: 0$"),
        (["planted_fault:X"], r"cannot be imported: RuntimeError: no$"),
        ([":X"], r"cannot be imported: ValueError: "),
        (["planted_spread:METRICS"], r"planted_spread has no 'METRICS'; did you mean METRIC\?$"),
        (["planted_spread:measure"], r"is of type function; give a genbench.metrics.Metric; known: "),
        (["planted_spread:LOGITS"], r"^metric 'planted_spread:LOGITS': needs sample logits; "),
        (["planted_spread:DIAGNOSTIC"], r"has no number with a better direction"),
        (["fd", "planted_spread:OTHER"], r"another one is also called 'frechet_distance'; check them one at a time$"),
    ],
)
def test_what_cannot_be_checked_is_said_in_one_line(module: str, names: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        choose(names)
    assert "\n" not in str(caught.value)


def test_the_command_checks_a_third_partys_metric(module: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        command.metrics, ["check", f"{module}:METRIC", "--seeds", "5", "--out", "checks.csv"], catch_exceptions=False
    )
    assert done.exit_code == 0
    marks = dict(re.findall(r"^(\S.*?)  +(pass|BLIND|WRONG|n/m)$", done.stdout, re.MULTILINE))
    assert marks["widened spread"] == marks["narrowed spread"] == "pass"
    assert marks["shifted mean"] == "BLIND"
    assert "identity" not in marks  # its ideal value is unknown
    assert "wrote checks.csv" in done.stderr
    assert "shifted mean (" in done.stderr
    with (tmp_path / "checks.csv").open() as file:
        rows = {row["check"]: row for row in csv.DictReader(file)}
    assert rows["widened spread"]["verdict"] == "pass"
    assert float(rows["widened spread"]["change"]) == pytest.approx(1, abs=0.1)  # the standard deviation doubles from 1
    assert 0 < float(rows["widened spread"]["error"]) < 0.05


def test_the_bare_command_lists_and_few_seeds_are_refused() -> None:
    listed = CliRunner().invoke(command.metrics, [], catch_exceptions=False)
    assert listed.exit_code == 0
    assert listed.stdout.startswith("frechet_distance: ")
    with pytest.raises(InputError, match=r"^--seeds: 4 is too few for a verdict; give 5 or more$"):
        CliRunner().invoke(command.metrics, ["check", "--seeds", "4"], catch_exceptions=False)


def test_a_slow_metric_is_announced_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(0, 100, 3))
    monkeypatch.setattr(command.time, "perf_counter", lambda: float(next(clock)))
    progress = command._Progress()
    for done in (1, 2, 3):
        progress.show("identity", done, 600)
    said = capsys.readouterr().err.splitlines()
    assert said == ["a measurement takes 3.0 s: all 600 take about 30 minutes", "identity (1 of 600)"]


def test_markdown_and_csv_hold_the_same_verdicts() -> None:
    common = ("no better", "wrong", 1.0, 0.2, -0.3, 0.01, 2.0, 5)
    findings = [
        Finding("m", "a", "fidelity", "copies", *common),  # type: ignore[arg-type]
        Finding("m", "b", "fidelity", "order", "same", "pass", 1.0, 0.2, 0.0, 0.0, 0.0, 5),
        Finding("n", "c", "copying", "copies", "worse", "not measurable", None, None, None, None, 0.0, 5, "few"),
    ]
    assert as_markdown(findings).split("\n\n") == [
        "| Fidelity | `a` | `b` |\n| --- | --- | --- |\n| copies | wrong | – |\n| order | – | ✓ |",
        "| Copying | `c` |\n| --- | --- |\n| copies | n/m |",
    ]
    assert (
        "a, copies: wrong: expected no better, found better by 0.30 ± 0.01 than 0.2 at level 1, 0.15 units"
        in as_text(findings)
    )
    rows = list(csv.DictReader(as_csv(findings).splitlines()))
    assert [row["verdict"] for row in rows] == ["wrong", "pass", "not measurable"]
    assert rows[0]["change"] == "-0.3"
    assert rows[2]["change"] == ""


def committed() -> dict[tuple[str, str], str]:
    """Return the mark of each number and check in the tables on the page."""
    marks, heads = {}, []
    for line in PAGE.partition("<!-- checks")[2].partition(END)[0].splitlines():
        first, *cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if cells and cells[0].startswith("`"):
            heads = [cell.strip("`") for cell in cells]
        elif cells and first != "---":
            marks |= {(number, first): mark for number, mark in zip(heads, cells, strict=True) if mark != "–"}
    return marks


def test_the_committed_table_is_what_the_command_gives() -> None:
    marks = {"pass": "✓", "not measurable": "n/m"}
    found = {
        (finding.number, finding.check): marks.get(finding.verdict, finding.verdict)
        for finding in run_checks(choose(["fd", "vendi"]))
    }
    page = committed()
    assert found.items() <= page.items(), "run `make checks`, and explain what has changed"
    with (ROOT / "benchmarks" / "metric_checks.csv").open() as file:
        beside = {(row["number"], row["check"]): row["verdict"] for row in csv.DictReader(file)}
    assert {key: marks.get(verdict, verdict) for key, verdict in beside.items()} == page
    assert {number for number, _ in page} == {name for metric in choose() for name in readings(metric)}


def test_every_failure_in_the_committed_table_is_explained_in_a_line() -> None:
    explained = set()
    below = PAGE.partition(END)[2].partition("\n## ")[0].replace("\n  ", " ")
    for numbers, checks in re.findall(r"^- ((?:`\w+`(?:, )?)+) · ([^:]+): ", below, re.MULTILINE):
        pairs = {(number, check) for number in re.findall(r"\w+", numbers) for check in checks.split(", ")}
        assert not pairs & explained, pairs & explained
        explained |= pairs
    failures = {key for key, mark in committed().items() if mark != "✓"}
    assert sorted(failures - explained) == []
    assert sorted(explained - failures) == []


def test_tables_go_between_the_markers_and_nowhere_else() -> None:
    once = between_markers(PAGE, "new")
    assert between_markers(once, "new") == once
    assert between_markers(once, PAGE.partition("-->\n\n")[2].partition(f"\n\n{END}")[0]) == PAGE


def test_draws_depend_only_on_the_seed_and_the_check() -> None:
    first = draws(CHECKS["copies"], 1, 10)[1][0]
    assert torch.equal(first.reference, draws(CHECKS["copies"], 1, 10)[0][0].reference)
    assert not torch.equal(first.reference, draws(CHECKS["copies"], 2, 10)[1][0].reference)
    assert torch.equal(first.samples[5:], torch.randn(3, 10, 8, generator=generator(1, "sanity", "copies"))[0][5:])
