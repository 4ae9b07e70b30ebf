"""The tables of options in the plugins' READMEs name each option of each model with its default."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[1] / "plugins"


def models() -> list[tuple[str, str, str]]:
    """Distribution, model and module of every model whose libraries are installed with genbench."""
    found = []
    for folder in ("gan", "vae", "ae", "sequence"):
        project = tomllib.loads((PLUGINS / folder / "pyproject.toml").read_text())["project"]
        for name, module in project["entry-points"]["genbench"].items():
            found.append((folder, name, module.partition(":")[0]))
    return found


def documented(folder: str) -> dict[str, list[str]]:
    """Option -> the default cells of the rows that name it."""
    found: dict[str, list[str]] = {}
    place = 0
    for line in (PLUGINS / folder / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "option":
            place = cells.index("default")
        elif line.startswith("| `") and place:
            for option in re.findall(r"`(\w+)`", cells[0]):
                found.setdefault(option, []).append(cells[place])
        elif not line.startswith("|"):
            place = 0
    return found


def says(cell: str, default: object) -> bool:
    words = re.findall(r"[\w.+-]+", cell)
    if isinstance(default, int | float) and not isinstance(default, bool):
        return any(float(word) == default for word in words if re.fullmatch(r"[\d.]+(e-?\d+)?", word))
    return str(default) in words


@pytest.mark.parametrize(("folder", "name", "module"), models(), ids=lambda value: str(value))
def test_each_option_is_in_the_table_with_its_default(folder: str, name: str, module: str) -> None:
    rows = documented(folder)
    parameters = inspect.signature(importlib.import_module(module).build).parameters.values()
    options = [one for one in parameters if one.default is not inspect.Parameter.empty]
    assert options
    missing = [
        f"{one.name}={one.default}"
        for one in options
        if not any(says(cell, one.default) for cell in rows.get(one.name, ()))
    ]
    assert not missing, f"{name}: not in the README of {folder}"
