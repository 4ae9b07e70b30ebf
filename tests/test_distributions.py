"""What is released: one version everywhere, typed packages, and archives that contain what git tracks."""

from __future__ import annotations

import io
import re
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import distributions
import pytest
import yaml
from distributions import Distribution

import genbench

ROOT = Path(__file__).parent.parent
PROJECTS = sorted(path for pattern in ("pyproject.toml", "plugins/*/pyproject.toml") for path in ROOT.glob(pattern))
ONE = Distribution(
    folder="plugins/one",
    name="genbench-one",
    version="2.0",
    entry_points=frozenset({"one"}),
    files=frozenset(
        {"pyproject.toml", "README.md", "tests/test_one.py", "genbench_one/__init__.py", "genbench_one/w.safetensors"}
        | {"genbench_one/py.typed"}
    ),
)
WHEEL = {
    **{name: "" for name in ONE.files if name.startswith("genbench_one/")},
    "genbench_one-2.0.dist-info/METADATA": "Name: genbench-one\nVersion: 2.0\n",
    "genbench_one-2.0.dist-info/entry_points.txt": "[genbench]\none = genbench_one\n",
    "genbench_one-2.0.dist-info/licenses/LICENSE": "",
    "genbench_one-2.0.dist-info/RECORD": "",
}
SOURCE = {
    f"genbench_one-2.0/{name}": ""
    for name in (*ONE.files, "PKG-INFO", "setup.cfg", "genbench_one.egg-info/SOURCES.txt")
}
Change = Callable[[dict[str, str]], object]


def project(path: Path) -> dict[str, object]:
    found: dict[str, object] = tomllib.loads(path.read_text())["project"]
    return found


def test_all_distributions_have_one_version_and_what_else_names_it_says_the_same() -> None:
    versions = {project(path)["version"] for path in PROJECTS}
    assert len(PROJECTS) >= 7
    assert versions == {genbench.__version__}
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == genbench.__version__
    assert f"## {genbench.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_a_distribution_is_typed_and_carries_its_licence(path: Path) -> None:
    settings = tomllib.loads(path.read_text())
    package = str(settings["project"]["name"]).replace("-", "_")
    assert (path.parent / package / "py.typed").is_file()
    assert "py.typed" in settings["tool"]["setuptools"]["package-data"][package]
    assert settings["project"]["license-files"] == ["LICENSE"]
    assert (path.parent / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert "Typing :: Typed" in settings["project"]["classifiers"]
    assert settings["project"]["requires-python"] == project(ROOT / "pyproject.toml")["requires-python"]


def test_distributions_are_found_by_their_project_files(tmp_path: Path) -> None:
    for folder, name in (("", "genbench"), ("plugins/one/", "genbench-one"), ("tests/brought/two/", "two")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "pyproject.toml").write_text(
            f'[project]\nname = "{name}"\nversion = "1.{len(name)}"\n'
            '[project.scripts]\nrun = "x:y"\n[project.entry-points.genbench]\none = "z"\n'
        )
    tracked = ["pyproject.toml", "a.py", "plugins/one/pyproject.toml", "plugins/one/b.py"]
    tracked += ["tests/brought/two/pyproject.toml"]  # a fixture, never published
    first, second = distributions.distributions(tmp_path, tracked)
    assert (first.name, first.files) == ("genbench", frozenset(tracked))
    assert second == Distribution(
        "plugins/one", "genbench-one", "1.12", frozenset({"run", "one"}), frozenset({"pyproject.toml", "b.py"})
    )
    assert distributions.versions_fault([first, second]) == ["versions differ: genbench 1.8, genbench-one 1.12"]
    assert distributions.versions_fault([first]) == []
    assert distributions.tag_fault("v1.8", first.version) is None
    assert distributions.tag_fault("1.8", first.version) == "the tag is 1.8, but the version is 1.8: expected v1.8"


def wheel_of(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def source_of(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in files:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda files: None, None),
        (lambda files: files.pop("genbench_one/w.safetensors"), r"lacks genbench_one/w\.safetensors"),
        (lambda files: files.pop("genbench_one/py.typed"), r"lacks genbench_one/py\.typed"),
        (lambda files: files.update({"tests/test_one.py": ""}), r"holds tests/test_one\.py, which does not belong"),
        (lambda files: files.update({"genbench_one/old.py": ""}), r"holds genbench_one/old\.py"),
        (lambda files: files.pop("genbench_one-2.0.dist-info/licenses/LICENSE"), "lacks .*licenses/LICENSE"),
        (
            lambda files: files.update({"genbench_one-2.0.dist-info/METADATA": "Name: genbench-one\nVersion: 1.9\n"}),
            r"states that it is genbench-one 1\.9",
        ),
        (
            lambda files: files.update({"genbench_one-2.0.dist-info/entry_points.txt": "[genbench]\ntwo = x\n"}),
            r"entry points are \['two'\], not \['one'\]",
        ),
    ],
)
def test_a_wheel_holds_the_package_and_nothing_else(tmp_path: Path, change: Change, fault: str | None) -> None:
    files = dict(WHEEL)
    change(files)
    found = distributions.wheel_faults(wheel_of(tmp_path / "one.whl", files), ONE)
    assert [bool(fault and re.search(fault, line)) for line in found] == ([] if fault is None else [True])


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda files: None, []),
        (lambda files: files.pop("genbench_one-2.0/tests/test_one.py"), ["one.tar.gz: lacks tests/test_one.py"]),
        (
            lambda files: files.update({"genbench_one-2.0/notes.txt": ""}),
            ["one.tar.gz: holds notes.txt, which does not belong there"],
        ),
    ],
)
def test_a_source_distribution_holds_all_that_is_tracked(tmp_path: Path, change: Change, faults: list[str]) -> None:
    files = dict(SOURCE)
    change(files)
    assert distributions.source_faults(source_of(tmp_path / "one.tar.gz", files), ONE) == faults


def test_missing_and_stale_archives_are_reported(tmp_path: Path) -> None:
    wheel_of(tmp_path / "genbench_one-2.0-py3-none-any.whl", WHEEL)
    wheel_of(tmp_path / "genbench_one-1.9-py3-none-any.whl", WHEEL)
    assert distributions.check([ONE], tmp_path) == [
        "genbench_one-2.0.tar.gz: was not built",
        "genbench_one-1.9-py3-none-any.whl: was not built from this checkout",
    ]
