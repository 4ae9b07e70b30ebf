"""The progress of a benchmark, shown when it is interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genbench.records.record import record_path

__all__ = ["standing"]


def standing(directory: Path, cell_ids: Sequence[str]) -> str:
    """Return how many of the cells are done and how to view them, as part of a line."""
    done = sum(record_path(directory, cell_id).exists() for cell_id in cell_ids)
    shows = f" (`genbench report {directory}` shows them)" if done else ""
    return f"{done} of {len(cell_ids)} cells are done{shows}"
