"""Builds every distribution of this repository into dist/, and holds what is in the files against what git tracks.

    python benchmarks/distributions.py           build, then check
    python benchmarks/distributions.py --check   check what lies in dist/
    python benchmarks/distributions.py --tag T   only check that T is the tag of the version

A wheel holds the tracked files of its package and no others, so weights and `py.typed` are in it and tests are not. A
source distribution holds all that is tracked below its folder but reports and what only a checkout needs. Both are
built from a copy of the tracked files, so that nothing left lying around gets in; and the wheel from the unpacked
source distribution, so that this is complete.
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
        folder: in which it lies, from the repository's root; "" is that itself.
        name: as it is installed.
        version: of it.
        entry_points: its models by their names.
        files: that git tracks in the folder, by their paths in it.
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
        """How the names of its files begin."""
        return f"{self.package}-{self.version}"


def distributions(root: Path, tracked: Iterable[str]) -> list[Distribution]:
    """Return the distributions of a repository whose files are `tracked`, genbench first; those of tests are left out."""
    names = sorted(tracked)
    projects = [name for name in names if PurePosixPath(name).name == "pyproject.toml" and not name.startswith("tests/")]
    found = []
    for path in sorted(projects, key=len):
        project = tomllib.loads((root / path).read_text(encoding="utf-8"))["project"]
        folder = path.removesuffix("pyproject.toml")
        own = frozenset(name.removeprefix(folder) for name in names if name.startswith(folder))
        points = frozenset(name for group in project.get("entry-points", {}).values() for name in group)
        points |= frozenset(project.get("scripts", {}))
        found.append(Distribution(folder.rstrip("/"), project["name"], project["version"], points, own))
    return found


def versions_fault(found: Iterable[Distribution]) -> list[str]:
    """Return a line where not all distributions have the same version."""
    versions = {each.name: each.version for each in found}
    if len(set(versions.values())) < 2:
        return []
    return ["versions differ: " + ", ".join(f"{name} {version}" for name, version in versions.items())]


def tag_fault(tag: str, version: str) -> str | None:
    """Return a line where a tag is not that of a version."""
    return None if tag == f"v{version}" else f"the tag is {tag}, and the version {version}: it would be v{version}"


def wheel_faults(path: Path, expected: Distribution) -> list[str]:
    """Return what is wrong with a wheel, a line each."""
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
        faults.append(f"{path.name}: says that it is {metadata['Name']} {metadata['Version']}")
    there = {line.partition("=")[0].strip() for line in points.splitlines() if "=" in line}
    if there != expected.entry_points:
        faults.append(f"{path.name}: its entry points are {sorted(there)}, not {sorted(expected.entry_points)}")
    return faults


def source_faults(path: Path, expected: Distribution) -> list[str]:
    """Return what is wrong with a source distribution, a line each."""
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
    """Return what is wrong with the files that were built, a line each."""
    faults = []
    expected = []
    for each in found:
        wheel, source = folder / f"{each.stem}-py3-none-any.whl", folder / f"{each.stem}.tar.gz"
        expected += [wheel, source]
        faults += wheel_faults(wheel, each) if wheel.exists() else [f"{wheel.name}: was not built"]
        faults += source_faults(source, each) if source.exists() else [f"{source.name}: was not built"]
    strange = sorted(set(folder.iterdir()) - set(expected)) if folder.exists() else []
    return faults + [f"{path.name}: is not built from this checkout" for path in strange]


def build(found: Iterable[Distribution], tracked: Iterable[str]) -> None:
    """Build all of them into an empty `dist/`, and have twine read what a package index would show.

    What builds them is installed beside this script, in the versions of constraints.txt: the same today and tomorrow.
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
    """Return the files that git tracks, without those that are deleted in the working tree."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in names.split("\0") if name and (root / name).is_file()]


def main() -> None:
    """Build and check; exit with 1 where anything is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="build nothing")
    parser.add_argument("--tag", help="build nothing, and look only whether this is the tag of the version")
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
    print(
        f"{len(found)} distributions of version {found[0].version}: each wheel and source distribution is as it must be"
    )


if __name__ == "__main__":
    main()
