"""`docs/write-a-plugin.md`, followed literally: its files are written, its commands run, its output compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from genbench.contract import CHECKS
from genbench.plugin.loading import hook_names

PAGE = Path(__file__).parent.parent / "docs" / "write-a-plugin.md"
# ```python my_model.py    a file of that name;    ```console    commands after `$`, and what they print
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [match.groups() for match in BLOCK.finditer(PAGE.read_text())]
FILES = {name: text for _, name, text in BLOCKS if name}

# `pip install -e` becomes an installation into a folder, without dependencies and without a network; it makes the same
# modules and metadata. The other two are the commands of this environment, whichever it is.
SHIMS = {
    "pip": '{python} -m pip install --quiet --no-deps --no-build-isolation --no-index --target {site} "./${{@: -1}}"',
    "pytest": '{python} -m pytest "$@"',
    "genbench": """{python} -c 'import sys; sys.argv[0] = "genbench"; from genbench.cli import main; main()' "$@" """,
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables under which a shell finds the three commands."""
    site, commands = tmp_path / "site", tmp_path / "commands"
    commands.mkdir()
    for name, line in SHIMS.items():
        (commands / name).write_text(f"#!/bin/bash\nexec {line.format(python=sys.executable, site=site)}\n")
        (commands / name).chmod(0o755)
    paths = {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(site)}
    if "PYTHONPATH" in os.environ:
        paths["PYTHONPATH"] += os.pathsep + os.environ["PYTHONPATH"]
    return {**os.environ, **paths}


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, with what the page shows of its output."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def pattern(output: str) -> str:
    """The regular expression of shown output: `...` stands for any lines, and within a line for any text."""
    lines = (
        r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
        for line in output.splitlines()
    )
    return "".join(lines) or r"(?:.*\n)*"


def test_the_tutorial(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "work"
    for language, name, text in BLOCKS:
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
            continue
        assert language == "console", f"a block of {language} without a file name is not tested"
        for command, output in commands(text):
            answer = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert re.fullmatch(pattern(output), answer.stdout), f"$ {command}\n{answer.stdout}"
            assert answer.returncode == ("FAILED" in output), f"$ {command}\n{answer.stdout}"


def test_the_smallest_plugin_is_small() -> None:
    assert len(FILES["my_model.py"].splitlines()) < 40
    assert len(FILES["pyproject.toml"].splitlines()) <= 10
    assert len(FILES["tests/test_contract.py"].splitlines()) == 3


def test_the_table_of_checks_is_the_contract() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
    assert rows == {check.name: check.promise for check in CHECKS.values()}


def test_the_hooks_that_it_names_are_there() -> None:
    named = re.findall(r"^\| `(\w+)\(", PAGE.read_text(), re.MULTILINE)
    assert named == hook_names()[3:]
