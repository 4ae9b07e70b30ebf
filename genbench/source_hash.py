"""What identifies a plugin's code: a hash of its source, and of the versions of the libraries that it wraps."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import re
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ["canonical", "source_hash", "wrapped_versions"]


def wrapped_versions(distribution: str) -> list[str]:
    """Return `name==version` of what a distribution requires and genbench does not, as far as it is installed.

    Those that genbench requires are left out: torch's version stands in each record, and a new one makes no new cells.
    """
    own = {"genbench", *_required("genbench")}
    found = []
    for name in sorted(_required(distribution) - own):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name}=={importlib.metadata.version(name)}")
    return found


def _required(distribution: str) -> set[str]:
    """Return the names of the distributions that one requires, as package indexes compare them; no extras."""
    try:
        lines = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return set()
    requirements = [Requirement(line) for line in lines]
    return {canonical(each.name) for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})}


def source_hash(root: Path, wrapped: Sequence[str] = ()) -> str:
    """Return the SHA-256 of every Python file in `root`, or of the one file, and of the `wrapped` versions."""
    digest = hashlib.sha256()
    files = [root] if root.is_file() else sorted(root.rglob("*.py"))
    for path in files:
        digest.update(f"{path.name if root.is_file() else path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for line in wrapped:
        digest.update(f"{line}\0".encode())
    return digest.hexdigest()


def canonical(distribution: str) -> str:
    """Return a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
