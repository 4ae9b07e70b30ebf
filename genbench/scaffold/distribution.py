"""Writes a new plugin: an installable distribution around one of the small modules in this folder."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from pathlib import Path

from genbench.config import CONTROLS
from genbench.errors import InputError
from genbench.machine.atomic import write_text
from genbench.plugin.families import FAMILIES, MODEL, Family
from genbench.plugin.finding import docstring_line, installed
from genbench.scaffold.texts import HEADINGS, INIT, MEANING, PYPROJECT, README, TEST, USE

__all__ = ["family_of", "write_distribution"]

HERE = Path(__file__).parent


def family_of(start: str) -> Family:
    """Return the family of a plugin that starts from one of `genbench.scaffold.FAMILIES`.

    >>> family_of("vae").group, family_of("metric").group
    ('genbench', 'genbench.metrics')
    """
    return FAMILIES.get(start, MODEL)


def write_distribution(name: str, family: str, folder: Path) -> list[Path]:
    """Write a distribution called `name` to `folder`, and return the files.

    Args:
        name: of the distribution and of its plugin: lower-case letters, digits and single dashes.
        family: one of `FAMILIES`.
        folder: must not exist.

    Raises:
        InputError: the name cannot be used, or the folder exists.
    """
    brings = family_of(family)
    package = _package(name, brings)
    if folder.exists():
        raise InputError(f"{folder} already exists; choose another name, or another folder with --out")
    start = HERE / f"{family}.py"
    values = {
        "name": name,
        "package": package,
        "summary": docstring_line(start).rstrip("."),
        "family": brings.name,
        "group": brings.group,
        "check": name if brings is MODEL else f"{name} --family {brings.name}",
        "tested": f'"{name}"' if brings is MODEL else f'"{name}", family="{brings.name}"',
        "use": USE[brings.name].format(name=name, package=package),
        "heading": HEADINGS[brings.name].format(name=name, package=package),
        "meaning": MEANING[family],
    }
    files = {
        "pyproject.toml": PYPROJECT,
        "README.md": README,
        f"{package}/__init__.py": INIT,
        f"{package}/{brings.name}.py": None,
        "tests/test_contract.py": TEST,
    }
    for path, text in files.items():
        # Plugins other than models contain their own name.
        source = start.read_text(encoding="utf-8").replace(f"my-{family}", name).replace(f"my_{family}", package)
        content = source if text is None else text.format(**values)
        try:
            write_text(folder / path, content)
        except OSError as error:
            raise InputError(f"{folder / path} cannot be written: {error.strerror}") from error
    return [folder / path for path in files]


def _package(name: str, brings: Family) -> str:
    """Return the package name for a distribution name; raise `InputError` if either cannot be used."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        hint = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")
        raise InputError(
            f"name {name!r} cannot be used: use lower-case letters, digits and single dashes, as in "
            f"{hint or 'my-model'}"
        )
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names:
        raise InputError(f"name {name!r} cannot be used: {package} is reserved by Python; choose another")
    if brings is MODEL and name in CONTROLS:
        raise InputError(f"name {name!r} cannot be used: it is a control; choose another")
    others = [found for found in installed(family=brings).get(name, ()) if found.distribution != name]
    if others:
        offer = f"{others[0].distribution} {others[0].version}"
        raise InputError(
            f"name {name!r} cannot be used: {offer} already provides a {brings.name} of that name; choose another"
        )
    if package in ("tests", "test") or (importlib.util.find_spec(package) and name not in installed(family=brings)):
        raise InputError(f"name {name!r} cannot be used: a module {package} already exists; choose another")
    return package
