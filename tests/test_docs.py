"""The documentation matches the code: signatures, the smallest plugin, the commands and the Python example."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest

import genbench
from genbench.plugin import hookspecs
from genbench.plugin.loading import hook_names

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
WITH_EXAMPLES = [
    ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
    for folder in (ROOT, *(ROOT / "plugins" / name for name in ("gan", "vae", "ae")))
    for path in sorted(folder.glob("genbench*/**/*.py"))
    if ">>> " in path.read_text()
]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_readme_shows_each_hook_with_its_signature() -> None:
    rows = re.findall(r"^\| `(\w+)\(([^)]*)\)` \| (yes|no) \|", README, re.MULTILINE)
    shown = {name: (arguments.split(", "), must == "yes") for name, arguments, must in rows}
    assert shown == {
        name: (list(inspect.signature(getattr(hookspecs, name)).parameters), name in hookspecs.REQUIRED_HOOKS)
        for name in hook_names()
    }


def test_each_hook_documents_shapes_and_has_an_example() -> None:
    for name in hook_names():
        text = getattr(hookspecs, name).__doc__ or ""
        example = [line for line in text.splitlines() if line.startswith(" " * 8)]
        assert example, f"{name} has no example"
        ast.parse("def example():\n" + "\n".join(example))
        assert re.search(r"\([A-Z]+[,)]|\.\.\.\)|data|batches", text), f"{name} does not state its shapes"


def test_the_smallest_plugin_is_the_one_that_the_tests_run_and_it_is_small() -> None:
    source = next(block for block in blocks(README, "python") if "@hookimpl" in block)
    assert source == (ROOT / "tests" / "models" / "tiny.py").read_text()
    assert len(source.splitlines()) < 40
    packaging = next(block for block in blocks(README, "toml") if "entry-points" in block)
    assert len(packaging.strip().splitlines()) < 10
    assert tomllib.loads(packaging)["project"]["entry-points"]["genbench"] == {"tiny": "tiny"}


def test_the_python_example_runs(
    warm_servers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = next(block for block in blocks(README, "python") if "genbench.run(" in block)
    assert len(example.strip().splitlines()) <= 5
    assert "500steps" in example
    example = example.replace("500steps", "2steps")  # what it prints does not depend on the budget
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line.split()[0] in ("gan", "vae")] == [
        ["gan", "0"],
        ["vae", "0"],
        ["gan", "1"],
        ["vae", "1"],
    ]
    assert len(genbench.load_records("reports/digits-2steps")) == len(lines)


def test_every_option_in_the_readme_exists() -> None:
    from genbench.cli.run import run

    known = {option for parameter in run.params for option in parameter.opts}
    used = {
        word
        for block in blocks(README, "sh")
        for line in block.splitlines()
        if line.startswith("genbench run")
        for word in line.split("#")[0].split()
        if word.startswith("-")
    }
    assert used
    assert used <= known


def test_every_page_of_the_docs_is_named_in_the_readme_or_in_contributing() -> None:
    named = README + (ROOT / "CONTRIBUTING.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        assert f"docs/{page.relative_to(ROOT / 'docs')}" in named, page


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_in_docstrings_give_what_they_say(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted
    assert not results.failed
