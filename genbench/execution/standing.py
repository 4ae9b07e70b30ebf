"""Which cells a folder was last asked for: `DIR/planned.json`, there as long as one of them has no record."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from genbench.atomic import write_text
from genbench.record import planned_path, record_path

__all__ = ["note_planned", "standing"]


def note_planned(directory: Path, cell_ids: Sequence[str]) -> None:
    """Write down which cells are to run, so that a report made before the end can say how many there are."""
    missing = any(not record_path(directory, cell_id).exists() for cell_id in cell_ids)
    if missing:
        write_text(planned_path(directory), json.dumps(list(cell_ids), indent=0) + "\n")
        return
    with contextlib.suppress(OSError, ValueError):  # none is there, or another run's, which is left to it
        if set(json.loads(planned_path(directory).read_text())) <= set(cell_ids):
            planned_path(directory).unlink()


def standing(directory: Path, cell_ids: Sequence[str]) -> str:
    """Return how many of the cells are done, and how to see them, as a part of a line."""
    done = sum(record_path(directory, cell_id).exists() for cell_id in cell_ids)
    shows = f" (`genbench report {directory}` shows them)" if done else ""
    return f"{done} of {len(cell_ids)} cells are done{shows}"
