"""Builds every distribution of this repository into dist/, and compares the archives' content with what git tracks.

    python benchmarks/distributions.py           build, then check
    python benchmarks/distributions.py --check   check the existing dist/
    python benchmarks/distributions.py --tag T   only check that T is the tag of the version

A wheel contains exactly the tracked files of its package, so it includes weights and `py.typed` but no tests. A source
distribution contains all tracked files below its folder except for reports and files that only a checkout needs. Both
are built from a copy of the tracked files, so that no stray file gets in; the wheel is built from the unpacked source
distribution, which proves that the latter is complete.
"""

from __future__ import annotations

import argparse
import email
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
OF_CHECKOUTS = (".ci/", ".github/", ".gitignore", "reports/")  # not in the source distribution of genbench
BY_SETUPTOOLS = ("PKG-INFO", "setup.cfg")  # in every source distribution


@dataclass(frozen=True)
class Distribution:
    """One folder with a pyproject.toml.

    Args:
        folder: its folder, relative to the repository's root; "" is the root itself.
        name: its name as installed.
        version: its version.
        entry_points: its models by name.
        files: the files that git tracks in the folder, by their paths relative to it.
    """

    folder: str
    name: str
    version: str
    entry_points: frozenset[str]
    files: frozenset[str]

    @property
    def package(self) -> str:
        """Its only package."""
        return self.name.replace("-", "_")

    @property
    def stem(self) -> str:
        """The prefix of its archives' names."""
        return f"{self.package}-{self.version}"


def distributions(root: Path, tracked: Iterable[str]) -> list[Distribution]:
    """Return the distributions of a repository whose files are `tracked`, genbench first, without fixtures of tests."""
    names = sorted(tracked)
    projects = [name for name in names if PurePosixPath(name).name == "pyproject.toml"]
    found = []
    for path in sorted((name for name in projects if not name.startswith("tests/")), key=len):
        project = tomllib.loads((root / path).read_text(encoding="utf-8"))["project"]
        folder = path.removesuffix("pyproject.toml")
        own = frozenset(name.removeprefix(folder) for name in names if name.startswith(folder))
        points = frozenset(name for group in project.get("entry-points", {}).values() for name in group)
        points |= frozenset(project.get("scripts", {}))
        found.append(Distribution(folder.rstrip("/"), project["name"], project["version"], points, own))
    return found


def versions_fault(found: Iterable[Distribution]) -> list[str]:
    """Return a one-line fault if the distributions' versions differ."""
    versions = {each.name: each.version for each in found}
    if len(set(versions.values())) < 2:
        return []
    return ["versions differ: " + ", ".join(f"{name} {version}" for name, version in versions.items())]


def tag_fault(tag: str, version: str) -> str | None:
    """Return a one-line fault if a tag does not match a version."""
    return None if tag == f"v{version}" else f"the tag is {tag}, but the version is {version}: expected v{version}"


def wheel_faults(path: Path, expected: Distribution) -> list[str]:
    """Return the faults of a wheel, one line each."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        metadata_folder = f"{expected.stem}.dist-info/"
        package = {name for name in names if not name.startswith(metadata_folder)}
        wanted = {name for name in expected.files if name.startswith(f"{expected.package}/")}
        faults = _differences(path, package, wanted | {f"{expected.package}/py.typed"})
        for name in ("METADATA", "licenses/LICENSE", "entry_points.txt"):
            if metadata_folder + name not in names:
                faults.append(f"{path.name}: lacks {metadata_folder}{name}")
        if faults:
            return faults
        metadata = email.message_from_bytes(archive.read(f"{metadata_folder}METADATA"))
        points = archive.read(f"{metadata_folder}entry_points.txt").decode()
    if (metadata["Name"], metadata["Version"]) != (expected.name, expected.version):
        faults.append(f"{path.name}: states that it is {metadata['Name']} {metadata['Version']}")
    there = {line.partition("=")[0].strip() for line in points.splitlines() if "=" in line}
    if there != expected.entry_points:
        faults.append(f"{path.name}: its entry points are {sorted(there)}, not {sorted(expected.entry_points)}")
    return faults


def source_faults(path: Path, expected: Distribution) -> list[str]:
    """Return the faults of a source distribution, one line each."""
    with tarfile.open(path) as archive:
        names = {name.removeprefix(f"{expected.stem}/") for name in archive.getnames() if "/" in name}
        folders = {member.name.removeprefix(f"{expected.stem}/") for member in archive if member.isdir()}
    made = {name for name in names if name in BY_SETUPTOOLS or ".egg-info" in name}
    wanted = {name for name in expected.files if not name.startswith(OF_CHECKOUTS)}
    return _differences(path, names - folders - made, wanted)


def _differences(path: Path, there: set[str], wanted: set[str]) -> list[str]:
    lacking = [f"{path.name}: lacks {name}" for name in sorted(wanted - there)]
    return lacking + [f"{path.name}: holds {name}, which does not belong there" for name in sorted(there - wanted)]


def check(found: Iterable[Distribution], folder: Path) -> list[str]:
    """Return the faults of the built files, one line each."""
    faults = []
    expected = []
    for each in found:
        wheel, source = folder / f"{each.stem}-py3-none-any.whl", folder / f"{each.stem}.tar.gz"
        expected += [wheel, source]
        faults += wheel_faults(wheel, each) if wheel.exists() else [f"{wheel.name}: was not built"]
        faults += source_faults(source, each) if source.exists() else [f"{source.name}: was not built"]
    strange = sorted(set(folder.iterdir()) - set(expected)) if folder.exists() else []
    return faults + [f"{path.name}: was not built from this checkout" for path in strange]


def build(found: Iterable[Distribution], tracked: Iterable[str]) -> None:
    """Build all of them into an empty `dist/`, and let twine check what a package index would show.

    The build tools are those in this script's environment, in the versions of constraints.txt, so builds are
    reproducible.
    """
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        for name in tracked:
            target = Path(temporary, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
        for each in found:
            folder = str(Path(temporary, each.folder))
            print(f"building {each.name} {each.version}", flush=True)
            command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(DIST), folder]
            built = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if built.returncode:
                sys.exit(built.stdout)
    files = sorted(map(str, DIST.iterdir()))
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True)


def tracked_files(root: Path) -> list[str]:
    """Return the files that git tracks, except for those deleted in the working tree."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in names.split("\0") if name and (root / name).is_file()]


def main() -> None:
    """Build and check; exit with 1 if there are faults."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="build nothing")
    parser.add_argument("--tag", help="build nothing; only check whether this is the tag of the version")
    asked = parser.parse_args()
    tracked = tracked_files(ROOT)
    found = distributions(ROOT, tracked)
    faults = versions_fault(found)
    if asked.tag is not None:
        sys.exit("\n".join(faults) or tag_fault(asked.tag, found[0].version))
    if not asked.check and not faults:
        build(found, tracked)
    faults += check(found, DIST)
    if faults:
        sys.exit("\n".join(faults))
    print(f"{len(found)} distributions of version {found[0].version}: all archives have the expected content")


if __name__ == "__main__":
    main()
