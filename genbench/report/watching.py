"""Renders a report again as records arrive, so that an overnight benchmark can be checked at midnight."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from genbench.errors import InputError
from genbench.execution.cell_lock import held_locks
from genbench.records.plans import missing_cells
from genbench.report.stored import stored_records
from genbench.report.web import Watched

__all__ = ["INTERVAL_S", "running", "watch"]

INTERVAL_S = 5.0

State = tuple[object, ...]


def watch(
    directory: Path, render: Callable[[Watched], object], now: Callable[[], str], waits: Iterable[object]
) -> None:
    """Render a benchmark's report, and again whenever a record, a plan or the set of running cells changes.

    Args:
        directory: the benchmark's folder, which may have no records yet.
        render: writes the report.
        now: returns the time as it is to be shown.
        waits: an iterable that waits before each item; the watch ends when it is exhausted.

    Raises:
        InputError: the folder does not exist or has disappeared, or its records cannot be rendered.
    """
    seen, rendered = None, False
    for _ in waits:
        if not directory.is_dir():
            raise InputError(f"{directory} {'has disappeared' if rendered else 'does not exist'}; nothing is watched")
        found = _state(directory)
        if found != seen and (rendered or _has_records(directory)):
            render(running(directory, now()))
            rendered = True
        seen = found


def running(directory: Path, made_at: str) -> Watched:
    """Return what a page says about a benchmark that may still be running."""
    missing = missing_cells(directory, [record.data for record in stored_records(directory)])
    held = held_locks(directory)
    shown = tuple(
        f"{cell['label']} on {cell['dataset']}, seed {cell['seed']}" for cell in missing if cell["id"] in held
    )
    return Watched(made_at, shown, len(missing))


def _state(directory: Path) -> State:
    """Return what decides whether a report must be rendered again."""
    found = []
    for path in sorted([*directory.glob("records/[!.]*.json"), *directory.glob("plans/[!.]*.json")]):
        try:
            about = path.stat()
        except FileNotFoundError:  # it was moved in the meantime: the next look sees that
            continue
        found.append((path.name, about.st_size, about.st_mtime_ns))
    return (*found, *sorted(held_locks(directory)))


def _has_records(directory: Path) -> bool:
    return any(directory.glob("records/[!.]*.json"))
