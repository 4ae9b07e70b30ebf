"""The tasks of a worker process, by name: the interface between the torch-free parent and the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Emit = Callable[[dict[str, Any]], None]


def check_data(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Check the device, the dataset and the extractor of one dataset's cells; see `preflight.check_data`."""
    from genbench.cell import preflight
    from genbench.config import Cell

    return preflight.check_data(Cell.from_json(payload), emit, payload.get("plugins_from"))


def check_model(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Load and build one model; see `preflight.check_model`."""
    from genbench.cell import preflight
    from genbench.config import Cell

    return preflight.check_model(Cell.from_json(payload["cell"]), payload["data"], payload["distribution"])


def run_cell(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Run one cell from start to end and write its record; see `cell.run`."""
    from genbench import cell

    return cell.run(payload, emit)


TASKS: dict[str, Callable[[dict[str, Any], Emit], dict[str, Any]]] = {
    "check_data": check_data,
    "check_model": check_model,
    "run_cell": run_cell,
}
