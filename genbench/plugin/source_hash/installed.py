"""Determines which files belong to versioned distributions, and which may change without a change of version."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import re
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

__all__ = ["canonical", "exempt", "is_versioned", "local_modules", "wrapped_versions"]

_OWN = Path(__file__).parents[2]  # genbench, whose version and commit are in each record


def canonical(distribution: str) -> str:
    """Return a distribution's name as normalised by package indexes."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def wrapped_versions(distribution: str) -> list[str]:
    """Return `name==version` of the installed distributions that a distribution requires and genbench does not.

    Those that genbench requires are excluded: torch's version is in each record, and a new one creates no new cells.
    Anything installed from a repository or a file also has its commit or hash, because its version may stay the same.
    """
    own = {"genbench", *_required("genbench")}
    found = []
    for name in sorted(_required(distribution) - own):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name}=={importlib.metadata.version(name)}{_pin(name)}")
    return found


def local_modules(distribution: str) -> set[str]:
    """Return the top-level modules of a distribution and of all its requirements whose source is local.

    Local means that pip installed it from a folder, editable or not: its code may change without a new version.
    """
    local = _local_distributions()
    found: set[str] = set()
    seen, waiting = {"genbench", *_required("genbench")}, [canonical(distribution)]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            found |= local.get(name, frozenset())
            waiting += _required(name)
    return found


def exempt() -> set[str]:
    """Return the top-level modules that never count as a plugin's: genbench's and its requirements'."""
    local = _local_distributions()
    return {"genbench", *(module for name in _required("genbench") for module in local.get(name, ()))}


def is_versioned(path: Path) -> bool:
    """Return whether a file belongs to Python, genbench, or a distribution whose version identifies its code."""
    path = Path(path).resolve()
    for folder in _installed_folders(tuple(sys.path)):
        if path.is_relative_to(folder) and path != folder:
            top = path.relative_to(folder).parts[0].partition(".")[0]
            return all(top not in modules for modules in _local_distributions().values())
    return any(path.is_relative_to(folder) for folder in _python_folders())


@lru_cache
def _installed_folders(path: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the folders on the path that installers write to: those with the metadata of a distribution."""
    entries = [Path(entry).resolve() for entry in dict.fromkeys(path)]
    return tuple(entry for entry in entries if entry.is_dir() and any(entry.glob("*.dist-info")))


@lru_cache
def _python_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return (_OWN.resolve(), *(Path(paths[name]).resolve() for name in ("stdlib", "platstdlib")))


@lru_cache
def _local_distributions() -> dict[str, frozenset[str]]:
    """Return the distributions that were installed from a folder, each with its top-level modules."""
    found = {}
    for distribution in importlib.metadata.distributions():
        source = _direct_url(distribution)
        conda = (
            distribution.read_text("INSTALLER") or ""
        ).strip() == "conda"  # it records the folder where it was built
        if source.get("url", "").startswith("file:") and "dir_info" in source and not conda:
            found[canonical(distribution.name)] = frozenset(_top_levels(distribution))
    return found


def _top_levels(distribution: importlib.metadata.Distribution) -> set[str]:
    if listed := distribution.read_text("top_level.txt"):
        return set(listed.split())
    parts = [file.parts for file in distribution.files or ()]
    strange = ("..", "__", ".dist-info", ".data")  # of the installer, not of the code
    tops = [first for first, *rest in parts if rest or first.endswith(".py")]
    return {top.partition(".")[0] for top in tops if not top.startswith(strange) and not top.endswith(strange)}


def _direct_url(distribution: importlib.metadata.Distribution) -> dict[str, Any]:
    text = distribution.read_text("direct_url.json")
    source: dict[str, Any] = json.loads(text) if text else {}
    return source


def _pin(name: str) -> str:
    """Return `@` and the commit or hash of a distribution installed from neither an index nor a folder."""
    try:
        source = _direct_url(importlib.metadata.distribution(name))
    except importlib.metadata.PackageNotFoundError:
        return ""
    archive = source.get("archive_info", {})
    pin = source.get("vcs_info", {}).get("commit_id") or archive.get("hash") or archive.get("hashes")
    return f"@{pin}" if pin else ""


def _required(distribution: str) -> set[str]:
    """Return the normalised names of a distribution's requirements, without extras."""
    try:
        lines = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return set()
    requirements = [Requirement(line) for line in lines]
    return {canonical(each.name) for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})}
