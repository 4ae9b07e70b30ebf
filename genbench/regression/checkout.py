"""Checks out a revision's source into its own folder, and finds the distributions and models in it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genbench.errors import InputError

__all__ = ["Distribution", "checked_out", "commit_of", "distributions", "models_of", "repository"]

GROUP = "genbench"  # the entry-point group, and the name of the core distribution


def repository(folder: Path) -> Path:
    """Return the root of the git repository that contains `folder`; raise `InputError` if there is none."""
    try:
        answer = _git(folder, "rev-parse", "--show-toplevel")
    except FileNotFoundError as error:
        raise InputError("git is not installed, but revisions are taken from it") from error
    if answer.returncode:
        raise InputError(f"{folder} is not in a git repository; run this in the repository to be compared")
    return Path(answer.stdout.strip())


def commit_of(root: Path, revision: str) -> str:
    """Return the commit that a branch, tag or hash names; raise `InputError` if it names none."""
    answer = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if answer.returncode:
        raise InputError(
            f"revision {revision!r} does not exist here; name a branch, tag or commit, or fetch it first "
            "(a shallow clone lacks most: git fetch --unshallow)"
        )
    return answer.stdout.strip()


@contextlib.contextmanager
def checked_out(root: Path, revision: str | None, folder: Path) -> Iterator[Path]:
    """Yield `folder`, filled with the files of a revision, or of the current working tree if `revision` is None.

    The user's checkout is not touched: a revision is a `git worktree` that is removed at the end; for the working tree,
    every file that git does not ignore is copied, including changed and new files.
    """
    if revision is None:
        _copy_working_tree(root, folder)
        yield folder
        return
    answer = _git(root, "worktree", "add", "--quiet", "--detach", str(folder), commit_of(root, revision))
    if answer.returncode:
        raise InputError(f"revision {revision!r} cannot be checked out; git says:", answer.stderr.strip())
    try:
        yield folder
    finally:
        _git(root, "worktree", "remove", "--force", str(folder))


class Distribution:
    """A folder whose pyproject.toml describes genbench itself or models for it."""

    def __init__(self, folder: Path, project: dict[str, Any], backend: str) -> None:
        self.folder = folder
        self.name = str(project.get("name", folder.name))
        self.models: list[str] = sorted(project.get("entry-points", {}).get(GROUP, {}))
        self.backend = backend


def distributions(folder: Path) -> list[Distribution]:
    """Return the distributions in a source tree, genbench's own first: at its root, or up to two folders down.

    Folders listed under `[tool.genbench] regress-exclude` in the root's pyproject.toml are left out: plugins whose
    dependencies are not installed everywhere.

    Raises:
        InputError: a pyproject.toml cannot be read, or none of them describes genbench or a model.
    """
    found = []
    excluded: set[Path] = set()
    for path in (path for depth in ("", "*/", "*/*/") for path in sorted(folder.glob(f"{depth}pyproject.toml"))):
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path.relative_to(folder)}: not valid TOML: {error}") from error
        if path.parent == folder:
            listed = content.get("tool", {}).get("genbench", {}).get("regress-exclude", [])
            excluded = {folder / name for name in listed}
        if path.parent in excluded:
            continue
        project = content.get("project", {})
        if project.get("name") == GROUP or GROUP in project.get("entry-points", {}):
            backend = content.get("build-system", {}).get("build-backend", "setuptools.build_meta")
            found.append(Distribution(path.parent, project, backend))
    if not found:
        raise InputError(f"no pyproject.toml here describes genbench or has entry points of the group {GROUP!r}")
    return found


def models_of(folder: Path) -> list[str]:
    """Return the names of the models that the distributions in a source tree provide."""
    return sorted({name for distribution in distributions(folder) for name in distribution.models})


def _copy_working_tree(root: Path, folder: Path) -> None:
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    for name in filter(None, listed.split("\0")):
        source, target = root / name, folder / name
        if source.is_file():  # a deleted file is listed until its deletion is committed
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
