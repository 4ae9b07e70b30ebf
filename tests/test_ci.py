"""The workflows and the page about them name only commands, options, targets and numbers that exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import read_by_click

from genbench.changes import compare, parse
from genbench.records.baseline import read_baseline

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
RELEASE = WORKFLOW.with_name("release.yml")
PAGE = (ROOT / "docs" / "ci.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
BASELINE = ROOT / "benchmarks" / "baselines" / "digits.json"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def workflows() -> dict[str, Any]:
    (for_plugins,) = blocks("yaml")
    own = {path.name: yaml.safe_load(path.read_text()) for path in (WORKFLOW, RELEASE)}
    return {**own, "docs/ci.md": yaml.safe_load(for_plugins)}


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 30
        yield from job["steps"]


def genbench_commands(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        words = shlex.split(line.split(" || ")[0], comments=True)
        if words and words[0] == "genbench":
            yield words[1:]


@pytest.mark.parametrize("name", ["ci.yml", "release.yml", "docs/ci.md"])
def test_a_workflow_has_the_shape_that_github_reads(name: str) -> None:
    workflow = workflows()[name]
    assert workflow[True]  # YAML 1.1 reads the key `on` as true
    for step in steps(workflow):
        assert ("uses" in step) != ("run" in step)
        used = step.get("uses", "actions/checkout@v5")
        assert re.fullmatch(r"actions/[a-z-]+@v\d+|pypa/gh-action-pypi-publish@release/v1", used)


def test_only_the_job_that_publishes_may_and_what_it_publishes_was_installed_before() -> None:
    workflow = workflows()["release.yml"]
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    publishing = [name for name, job in jobs.items() if any("pypi-publish" in str(step) for step in job["steps"])]
    assert publishing == ["publish"]
    assert {name for name, job in jobs.items() if "permissions" in job} == {"publish"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert (jobs["publish"]["needs"], jobs["install"]["needs"]) == ("install", "build")
    assert "password" not in RELEASE.read_text()


def test_every_python_that_the_distributions_name_is_tried() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [word for each in project["classifiers"] if re.fullmatch(r"3\.\d+", word := each.split(" :: ")[-1])]
    assert project["requires-python"] == f">={named[0]}"
    assert workflows()["ci.yml"]["jobs"]["check"]["strategy"]["matrix"]["python"] == named
    assert workflows()["release.yml"]["jobs"]["install"]["strategy"]["matrix"]["python"] == named


def test_every_genbench_command_in_them_and_on_the_page_is_one_that_click_reads() -> None:
    texts = [step["run"] for workflow in workflows().values() for step in steps(workflow) if "run" in step]
    commands = [words for text in [*texts, *blocks("sh")] for words in genbench_commands(text)]
    assert {words[0] for words in commands} == {"run", "compare", "baseline", "plugin"}
    for words in commands:
        context = read_by_click(words)
        if expression := context.params.get("fail_on"):
            assert parse(expression)


def test_every_make_target_in_them_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    named = [
        target
        for name in ("ci.yml", "release.yml")
        for step in steps(workflows()[name])
        for target in re.findall(r"\bmake ([a-z]+)", step.get("run", ""))
    ]
    assert set(named) == {"check", "compare", "dist", "site"}
    assert set(named) | set(re.findall(r"`make ([a-z]+)`", PAGE)) <= targets


def test_the_files_that_the_workflows_pass_on_are_those_that_are_written() -> None:
    text = WORKFLOW.read_text()
    folder = re.search(r"^COMPARED := (.*)$", MAKEFILE, re.MULTILINE)
    assert folder
    assert "--out $(COMPARED)/comparison.md" in MAKEFILE
    assert set(re.findall(r"reports/[\w./]+", text)) == {folder[1], f"{folder[1]}/comparison.md"}
    assert re.findall(r"build/[\w./]+", text) == re.findall(r"^SITE := (.*)$", MAKEFILE, re.MULTILINE)


def test_the_committed_baseline_holds_the_cells_of_the_digits_benchmark_and_what_the_gate_names() -> None:
    benchmark = tomllib.loads((ROOT / "benchmarks" / "digits.toml").read_text())
    records = [record.data for record in read_baseline(BASELINE)]
    cells = {
        (record["cell"]["label"], record["cell"]["seed"]) for record in records if record["cell"]["role"] == "model"
    }
    assert cells == {(model, seed) for model in benchmark["models"] for seed in range(benchmark["seeds"])}
    assert {record["cell"]["budget"] for record in records} == {benchmark["budget"]}
    gate = re.search(r"^FAIL_ON := (.*)$", MAKEFILE, re.MULTILINE)
    assert gate
    terms = parse(gate[1])
    itself = compare(records, records, terms)
    assert {term.name for term in terms} <= itself.names
    assert {change.outcome for change in itself.changes if change.measure.kind == "quality"} == {"equal"}
    assert not any(
        change.measure.of_machine for change in itself.changes if change.measure.name in {t.name for t in terms}
    )
    assert BASELINE.stat().st_size < 100_000
