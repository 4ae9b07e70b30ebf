"""`docs/write-a-plugin.md`, followed literally: its files are written, its commands run, its output compared."""

from __future__ import annotations

import re
from pathlib import Path

from pages import ROOT, Command, on_path, read_page, type_page

from genbench.contract import CHECKS
from genbench.plugin.loading import hook_names

PAGE = read_page(ROOT / "docs" / "write-a-plugin.md")
TEXT, FILES = PAGE.path.read_text(), PAGE.files


def test_the_tutorial(tmp_path: Path, command: Command, program: list[str]) -> None:
    type_page(PAGE, tmp_path / "work", command, on_path(tmp_path / "shims", program))


def test_the_smallest_plugin_is_small() -> None:
    assert len(FILES["my_model.py"].splitlines()) < 40
    assert len(FILES["pyproject.toml"].splitlines()) <= 10
    assert len(FILES["tests/test_contract.py"].splitlines()) == 3


def test_the_table_of_checks_is_the_contract() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT, re.MULTILINE))
    assert rows == {check.name: check.promise for check in CHECKS.values()}


def test_the_hooks_that_it_names_are_there() -> None:
    named = re.findall(r"^\| `(\w+)\(", TEXT, re.MULTILINE)
    assert named == hook_names()[3:]
