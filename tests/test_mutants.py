"""The settings of `make mutants` and the list of equivalent mutants name only files and lines that exist."""

from __future__ import annotations

import ast
import fnmatch
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from mutants import PROJECTS, ROOT, known_equivalents


def functions_of(tree: ast.AST, within: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods by the names that mutmut gives them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions_of(node, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield within + node.name, node


@cache
def sources(file: str) -> dict[str, str]:
    """Each function's lines, joined as the list joins those of one change."""
    text = (ROOT / file).read_text()
    lines = [line.strip() for line in text.splitlines()]
    return {name: " ".join(lines[one.lineno - 1 : one.end_lineno]) for name, one in functions_of(ast.parse(text))}


def settings(project: Path) -> dict[str, list[str]]:
    return tomllib.loads((project / "pyproject.toml").read_text())["tool"]["mutmut"]


def test_each_equivalent_mutant_is_a_change_to_a_line_that_is_there() -> None:
    listed = known_equivalents()
    gone = [one for one in listed if one.removed not in sources(one.file).get(one.function, "")]
    assert not gone, "\n".join(map(str, gone))
    assert all(one.removed != one.added and why for one, why in listed.items())
    assert len(listed) > 200


def test_each_is_in_a_file_that_is_mutated() -> None:
    mutated = [
        f"{project.relative_to(ROOT)}/{each}" for project in PROJECTS for each in settings(project)["only_mutate"]
    ]
    for file in {one.file for one in known_equivalents()}:
        assert any(fnmatch.fnmatch(f"./{file}", f"./{each.removeprefix('./')}") for each in mutated), file


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: str(project.relative_to(ROOT)))
def test_the_settings_name_files_and_tests_that_exist(project: Path) -> None:
    named = settings(project)
    for pattern in [*named["only_mutate"], *named["pytest_add_cli_args_test_selection"]]:
        assert any(project.glob(pattern)), pattern
