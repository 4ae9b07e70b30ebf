from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import pytest

from genbench.cli import main
from genbench.records.baseline import read_baseline, write_baseline
from genbench.records.files import read_records
from genbench.records.identity import canonical
from genbench.records.record import Record, write_record
from genbench.records.schemas import SCHEMA

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def genbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command in this process; return its exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["genbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return run


@pytest.fixture
def folders(make, tmp_path: Path) -> tuple[Path, Path]:
    """BASE and NEW: a model that got worse, one that did not, and a control."""
    for name, worse, rate in (("base", 0.0, 100.0), ("new", 3.0, 99.0)):
        records = [
            *make(
                "gan", {"fd": [10 + worse, 11.02 + worse, 12 + 1.01 * worse]}, {"train_items_per_s": [rate, 102, 98]}
            ),
            *make("vae:beta=4", {"fd": [5.0, 6.0, 7.0], "coverage": [0.4, 0.5, 0.6]}, {"parameters": [7, 7, 7]}),
            *make("real", {"fd": [0.5] * 3}, role="control", budget=None),
        ]
        for place, record in enumerate(records):
            write_record(tmp_path / name, record | {"id": f"{place:016x}"})
    return tmp_path / "base", tmp_path / "new"


def test_the_table_says_what_changed_and_ends_with_the_verdict(genbench, folders) -> None:
    code, out, err = genbench("compare", *folders, "--fail-on", "fd>5%,train_items_per_s<-10%")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    (gan,) = (line for line in lines if line.startswith("gan") and " fd ↓ " in line)
    assert "+27.3% (+22.6% to +34.9%)" in gan
    assert "worse, p < 0.001" in gan
    assert "REGRESSION: fd>5%: gan on digits: +27.3% (+22.6% to +34.9%); p < 0.001, Holm" in lines
    (rate,) = (line for line in lines if line.startswith("gan") and "train_items_per_s" in line)
    assert rate.endswith("-0.33%                     ranges overlap")
    assert lines[-1] == "regression: 1 of 3 checks failed; 1 of 3 checks could not be decided"
    assert not any(line.startswith("real") for line in lines)


def test_without_a_gate_a_worse_number_is_no_failure(genbench, folders) -> None:
    code, out, _ = genbench("compare", *folders)
    assert code == 0
    assert out.endswith("compared; nothing was gated\n")


def test_markdown_begins_with_the_verdict_and_escapes_names(genbench, folders, tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    code, out, _ = genbench("compare", *folders, "--fail-on", "fd>5%", "--format", "markdown", "--out", page)
    assert code == 1
    assert "| :--- |" not in out  # the log gets the plain table
    text = page.read_text()
    assert text.startswith("## genbench compare: regression: 1 of 2 checks failed\n")
    assert "| `gan` | **fd ↓** |" in text
    assert "| :--- | :--- | ---: | ---: | ---: | ---: | :--- |" in text  # words flush left, numbers flush right
    assert "| `vae:beta=4` | fd ↓ |" in text
    assert "<details><summary>Other numbers</summary>" in text


def test_json_has_every_number_and_is_strict(genbench, folders) -> None:
    code, out, _ = genbench("compare", *folders, "--fail-on", "fd>5%", "--format", "json")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads(out, parse_constant=refuse)
    assert (code, document["exit_code"]) == (1, 1)
    assert [check["outcome"] for check in document["checks"]] == ["regression", "ok"]
    change = next(entry for entry in document["changes"] if entry["model"] == "gan" and entry["name"] == "fd")
    assert change["relative_low"] < change["relative"] < change["relative_high"]
    assert {entry["name"] for entry in document["changes"]} == {"fd", "coverage", "parameters", "train_items_per_s"}
    assert {entry["model"] for entry in document["changes"] if entry["control"]} == {"real"}


def test_json_writes_null_for_what_is_no_number(genbench, make, tmp_path: Path) -> None:
    for name, value in (("base", 1.0), ("new", float("nan"))):
        for record in make(numbers={"fd": [1.0, 2.0], "kid": [value, value]}):
            seed = record["cell"]["seed"]
            write_record(tmp_path / name, record | {"id": f"{seed:016x}"})
    _, out, _ = genbench("compare", tmp_path / "base", tmp_path / "new", "--format", "json")
    assert "NaN" not in out
    document = json.loads(out)
    assert [(lost["number"], lost["seeds"]) for lost in document["lost"]] == [("kid", [0, 1])]
    assert next(change for change in document["changes"] if change["name"] == "kid")["new"]["mean"] is None


def test_what_the_interval_leaves_open_is_said_of_a_term_that_passes(genbench, folders) -> None:
    _, out, _ = genbench("compare", *folders, "--fail-on", "coverage<-10%,fd>27.5%")
    lines = out.splitlines()
    assert "ok: fd>27.5%: gan on digits: +27.3% (+22.6% to +34.9%); p < 0.001, Holm; +34.9% is not excluded" in lines
    assert "ok: coverage<-10%: vae:beta=4 on digits: 0; p = 1, Holm" in lines


def test_different_software_is_reported_and_its_times_are_compared(genbench, folders) -> None:
    base, new = folders
    for path in (new / "records").iterdir():
        record = json.loads(path.read_text())
        write_record(new, record | {"environment": record["environment"] | {"torch": "2.14.0"}})
    code, out, _ = genbench("compare", base, new)
    assert code == 0
    assert "train_items_per_s ↑" in out
    assert "software: torch is 2.13.0 in BASE and 2.14.0 in NEW\n" in out


def test_missing_seeds_are_reported(genbench, folders) -> None:
    base, new = folders
    (new / "records" / f"{2:016x}.json").unlink()
    _, out, _ = genbench("compare", base, new)
    assert "not compared seed by seed: gan: BASE has seeds 0, 1, 2, NEW has seeds 0, 1\n" in out


def test_a_file_that_cannot_be_written_is_no_regression(genbench, folders, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = genbench("compare", *folders, "--out", tmp_path / "file" / "summary.md")
    assert code == 2
    assert "cannot be written" in err


def test_another_machine_leaves_quality_and_says_which_field_differs(genbench, folders) -> None:
    base, new = folders
    for path in (new / "records").iterdir():
        record = json.loads(path.read_text())
        write_record(new, record | {"environment": record["environment"] | {"processor": "Xeon"}})
    code, out, _ = genbench("compare", base, new, "--fail-on", "fd>50%")
    assert code == 0
    assert (
        "not compared: gan on digits: train_items_per_s: machines differ: "
        "processor is AMD EPYC in BASE and Xeon in NEW\n"
    ) in out
    assert genbench("compare", base, new, "--fail-on", "train_items_per_s<-10%")[0] == 2


def test_an_expression_that_cannot_be_read_is_pointed_at(genbench, folders) -> None:
    code, out, err = genbench("compare", *folders, "--fail-on", "fd>5%,kid")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "  fd>5%,kid",
        "           ^",
        "genbench: --fail-on, at character 10: expected > or < after 'kid', but it ends there",
    ]
    code, out, err = genbench("compare", *folders, "--fail-on", "fdd>5%")
    assert (code, out) == (2, "")
    assert err.endswith("at character 1: no record of either set has 'fdd'; did you mean fd?\n")
    _, out, err = genbench("compare", *folders, "--fail-on", "fd>5%,vae:beta=3:fd>1%")
    assert err.splitlines() == [
        "  fd>5%,vae:beta=3:fd>1%",
        "        ^",
        "genbench: --fail-on, at character 7: no record of either set is of the model 'vae:beta=3'; did you mean "
        "vae:beta=4 or vae:beta=4@digits?",
    ]


def test_a_term_for_one_model_is_read_from_the_command_line(genbench, folders) -> None:
    code, out, _ = genbench("compare", *folders, "--fail-on", "vae:beta=4@digits:fd>5%")
    assert code == 0
    assert "ok: vae:beta=4@digits:fd>5%: vae:beta=4 on digits: 0; p = 1, Holm" in out.splitlines()


def test_a_baseline_says_the_same_as_the_records_that_it_was_made_of(genbench, folders, tmp_path: Path) -> None:
    base, new = folders
    code, out, _ = genbench("baseline", base, "--out", tmp_path / "baseline.json")
    assert (code, out) == (0, f"{tmp_path / 'baseline.json'}: 9 cells\n")
    documents = [
        json.loads(genbench("compare", one, new, "--fail-on", "fd>5%", "--format", "json")[1]) | {"base": ""}
        for one in (base, tmp_path / "baseline.json")
    ]
    assert documents[0] == documents[1]


def test_a_baseline_keeps_all_of_a_record_but_its_curve_pictures_and_log(make, fail, tmp_path: Path) -> None:
    records = [*make("gan", {"fd": [1.0, 2.0]}, {"train_s": [3.0, 4.0]}), *make("vae", machine={"cores": 64})]
    records[1] |= {"finished_at": "2026-11-23T08:00:00+00:00"}
    records[2] = fail(records[2])
    records = [record | {"schema": SCHEMA, "id": f"{place:016x}"} for place, record in enumerate(records)]
    write_baseline(tmp_path / "baseline.json", [Record(record) for record in records])
    records[2]["failure"] = {"stage": "training", "reason": "loss became nan"}
    for restored, record in zip(read_baseline(tmp_path / "baseline.json"), records, strict=True):
        assert restored.data == record | {"curve": [], "artifacts": {}}


def test_a_baseline_of_an_older_record_schema_is_read_as_its_records_are(genbench, tmp_path: Path) -> None:
    old = json.loads((ROOT / "tests" / "records" / "schema-1.json").read_text())
    write_record(tmp_path / "base", old)
    path = tmp_path / "baseline.json"
    genbench("baseline", tmp_path / "base", "--out", path)
    document = json.loads(path.read_text())
    # As an older genbench wrote it: without what schema 2 added to the environment.
    document["record_schema"] = 1
    for environment in document["environments"]:
        del environment["jobs"]
    body = {name: value for name, value in document.items() if name != "sha256"}
    path.write_text(json.dumps(body | {"sha256": hashlib.sha256(canonical(body)).hexdigest()}))
    (restored,), (record,) = read_baseline(path), read_records(tmp_path / "base")
    assert restored.data["environment"] == record.data["environment"]
    assert (restored.data["schema"], restored.numbers) == (SCHEMA, record.numbers)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"value": 10', '"value": 99', 1), "was edited: its checksum does not match"),
        (
            lambda text: text.replace('_baseline": 1', '_baseline": 2'),
            "has baseline schema 2, this version reads up to 1",
        ),
        (
            lambda text: re.sub('_schema": [0-9]+', '_schema": 99', text),
            "has record schema 99, this version reads up to",
        ),
        (lambda text: text[:100], "is not a baseline; `genbench baseline DIR --out"),
        (lambda text: "[]", "is not a baseline"),
    ],
)
def test_a_baseline_that_cannot_be_trusted_is_refused(genbench, folders, tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "baseline.json"
    genbench("baseline", folders[0], "--out", path)
    text = change(path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    code, out, err = genbench("compare", path, folders[1])
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert message in err


def test_a_missing_baseline_is_distinguished_from_a_folder(genbench, folders, tmp_path: Path) -> None:
    _, _, err = genbench("compare", tmp_path / "none.json", folders[1])
    path = tmp_path / "none.json"
    assert err == f"genbench: {path} does not exist; `genbench baseline DIR --out {path}` would write it\n"
    _, _, err = genbench("compare", tmp_path / "none", folders[1])
    assert "would write it" not in err
    assert err.startswith(f"genbench: {tmp_path / 'none'}")
    named = folders[0].rename(tmp_path / "base.json")  # still a folder
    assert genbench("compare", named, folders[1])[0] == 0


def test_a_pipe_is_no_baseline_and_a_file_no_folder(genbench, folders, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would block
    code, _, err = genbench("compare", tmp_path / "pipe", tmp_path / "pipe")
    assert (code, err.startswith(f"genbench: {tmp_path / 'pipe'} is not a baseline")) == (2, True)
    code, _, err = genbench("report", tmp_path / "pipe")
    assert (code, err) == (
        2,
        f"genbench: {tmp_path / 'pipe'} is not a folder; give the folder that `genbench run` wrote\n",
    )


def test_a_folder_without_records_or_with_a_damaged_one_is_refused(genbench, folders, tmp_path: Path) -> None:
    assert genbench("compare", tmp_path / "none", folders[1])[0] == 2
    (tmp_path / "empty").mkdir()
    code, _, err = genbench("compare", folders[0], tmp_path / "empty")
    assert code == 2
    assert "holds no records" in err
    next((folders[1] / "records").iterdir()).write_text("{")
    code, _, err = genbench("compare", *folders)
    assert code == 2  # not 1, which would mean that something got worse
    assert "truncated" in err
