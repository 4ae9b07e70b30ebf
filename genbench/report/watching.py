"""Renders a report again as records arrive, so that an overnight benchmark can be checked at midnight."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from genbench.errors import GenbenchError, InputError
from genbench.execution.cell_lock import held_locks
from genbench.records.plans import missing_cells, planned_cells
from genbench.report.stored import stored_records
from genbench.report.web import Watched

__all__ = ["INTERVAL_S", "running", "watch"]

INTERVAL_S = 5.0

State = tuple[object, ...]


def watch(
    directory: Path, render: Callable[[Watched | None], object], now: Callable[[], str], waits: Iterable[object]
) -> None:
    """Render a benchmark's report, and again whenever a record, a plan or the set of running cells changes.

    The watch ends when the last planned cell has ended and nothing runs; it then renders the final report. A benchmark
    that was complete from the start is watched nevertheless: its next run may be about to begin.

    Args:
        directory: the benchmark's folder, which may have no records yet.
        render: writes the report; its argument is None if no planned cell is missing or running.
        now: returns the time as it is to be shown.
        waits: an iterable that waits before each item; the watch also ends when it is exhausted.

    Raises:
        InputError: the folder does not exist or has disappeared, or its records cannot be rendered.
    """
    seen: State | None = None
    begun = False  # whether something was still to come at an earlier look
    for _ in waits:
        if not directory.is_dir():
            raise InputError(
                f"{directory} has disappeared; nothing is watched any more"
                if seen is not None
                else f"{directory} does not exist; start its `genbench run --out {directory}` first"
            )
        found = _state(directory)
        if not _has_records(directory):
            begun = True
        elif found != seen:
            try:
                watched = running(directory, now())
                unfinished = bool(watched.running or watched.missing)
                render(watched if unfinished else None)
            except (GenbenchError, FileNotFoundError):
                if _state(directory) == found:
                    raise
                continue  # a run with --fresh moved a record while it was read; the next look sees what is there then
            if begun and not unfinished:
                return
            begun = unfinished
        seen = found


def running(directory: Path, made_at: str) -> Watched:
    """Return what a page says about a benchmark that may still be running."""
    missing = missing_cells(directory, [record.data for record in stored_records(directory)])
    held = held_locks(directory)
    shown = tuple(
        f"{cell['label']} on {cell['dataset']}, seed {cell['seed']}"
        for name, cell in planned_cells(directory).items()
        if name in held
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
