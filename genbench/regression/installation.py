"""Installs the distributions of a source tree into a folder, alongside those that are installed here."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from genbench.errors import InputError
from genbench.regression.checkout import Distribution
from genbench.regression.process import tail

__all__ = ["install"]


def install(found: Sequence[Distribution], target: Path, name: str) -> None:
    """Install distributions into the folder `target`, without their dependencies: both sides share those.

    Args:
        found: from `distributions`.
        target: a new folder; first on a process's path, it hides what is installed here.
        name: the revision's name in the error.

    Raises:
        InputError: pip failed; includes the end of its log.
    """
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    if all(importlib.util.find_spec(distribution.backend.partition(".")[0]) for distribution in found):
        command.append("--no-build-isolation")  # fast, and needs no network
    folders = [str(distribution.folder) for distribution in found]
    answer = subprocess.run(
        [*command, "--target", str(target), *folders], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if answer.returncode:
        raise InputError(f"{name} does not install; the end of pip's log:", tail(answer.stdout))
