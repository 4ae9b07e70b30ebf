"""Rewrites the baseline of counters, and reports what moved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from genbench.errors import InputError
from genbench.plugin import finding
from genbench.regression import baseline, checkout
from genbench.regression.process import Process

__all__ = ["count_installed", "update"]


def count_installed(models: list[str], show: Callable[[str], None]) -> tuple[baseline.Counts, dict[str, str]]:
    """Return the counts of installed models, from a fresh process, and the versions on which they depend."""
    with Process("what is installed", None) as process:
        return baseline.count_models(process, models, show), baseline.versions(process)


def update(root: Path, show: Callable[[str], None]) -> list[str]:
    """Count the repository's models as installed here, write its baseline file, and return lines on what moved.

    Raises:
        InputError: a model of the repository is not installed, or the installed one is not the repository's own.
    """
    models = checkout.models_of(root) or sorted(finding.installed())
    offered = finding.installed()
    for model in models:
        if model not in offered:
            raise InputError(f"model {model!r} of this repository is not installed; run: pip install -e <its folder>")
    counts, here = count_installed(models, show)
    path = root / baseline.BASELINE
    before = baseline.read(path)["counts"] if path.exists() else {}
    baseline.write(path, baseline.steady(before, counts), here)
    moved = [str(one) for one in baseline.compare(before, counts)] if before else []
    return [*moved, f"wrote {baseline.BASELINE}: {len(models)} models, torch {here['torch']}, Python {here['python']}"]
