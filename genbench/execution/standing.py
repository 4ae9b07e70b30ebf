"""Which cells a folder was last asked for: `DIR/planned.json`, there until each of them has a record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from genbench.atomic import write_text
from genbench.record import planned_path, read_planned, record_path

__all__ = ["forget_planned", "note_planned", "standing"]


def note_planned(directory: Path, cell_ids: Sequence[str]) -> None:
    """Write down which cells are to run, so that a report made before the end can say how many there are."""
    write_text(planned_path(directory), json.dumps(list(cell_ids), indent=0) + "\n")


def forget_planned(directory: Path, cell_ids: Sequence[str]) -> None:
    """Remove what `note_planned` wrote, now that every cell has a record; another run's is left to it."""
    if set(read_planned(directory)) <= set(cell_ids):
        planned_path(directory).unlink(missing_ok=True)


def standing(directory: Path, cell_ids: Sequence[str]) -> str:
    """Return how many of the cells are done, and how to see them, as a part of a line."""
    done = sum(record_path(directory, cell_id).exists() for cell_id in cell_ids)
    shows = f" (`genbench report {directory}` shows them)" if done else ""
    return f"{done} of {len(cell_ids)} cells are done{shows}"
