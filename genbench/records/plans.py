"""What a run set out to do: one small file per plan beside the records, so that a report knows what is missing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.errors import InputError
from genbench.machine import atomic
from genbench.records.identity import canonical

__all__ = ["missing_cells", "write_plan"]

SCHEMA = 2
_FIELDS = ("label", "role", "seed", "budget")

Cell = Mapping[str, Any]


def write_plan(directory: Path, cells: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Write which cells a run is to make, as (id, what its record says of the cell), whole or not at all.

    The file is named by its content: the same request writes the same file, and two requests on one directory two.
    """
    document = {"schema": SCHEMA, "cells": [{"id": cell_id, **_flat(cell)} for cell_id, cell in cells]}
    path = directory / "plans" / f"{hashlib.sha256(canonical(document)).hexdigest()[:16]}.json"
    if not path.exists():
        atomic.write_text(path, json.dumps(document, indent=1) + "\n")


def missing_cells(directory: Path, records: Sequence[Mapping[str, Any]]) -> list[Cell]:
    """Return the planned cells of which `records` hold none, neither finished nor failed.

    A cell that was planned with another source of its model, or other settings, counts as run where there is a record
    of its model, dataset, seed and budget. A directory without plans, as older versions left it, lacks nothing.

    Raises:
        InputError: a plan cannot be read.
    """
    known = {record["id"] for record in records} | {_key(_flat(record["cell"])) for record in records}
    missing = {}
    for path in sorted((directory / "plans").glob("[!.]*.json")):
        for cell in _read(path):
            if cell["id"] not in known and _key(cell) not in known:
                missing[_key(cell)] = cell
    return list(missing.values())


def _read(path: Path) -> list[Cell]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] == 1:
            cells = [{"role": cell.pop("kind"), **cell} for cell in document["cells"]]
            document = {"schema": SCHEMA, "cells": cells}
        if document["schema"] == SCHEMA and all(
            {"id", "dataset", *_FIELDS} <= cell.keys() for cell in document["cells"]
        ):
            return list(document["cells"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # one line for all that it may be
    raise InputError(f"plan {path} cannot be read; delete it, and the next `genbench run` writes it again")


def _flat(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {"dataset": cell["dataset"]["name"], **{name: cell.get(name) for name in _FIELDS}}


def _key(cell: Cell) -> str:
    return json.dumps([cell.get(name) for name in ("dataset", *_FIELDS)])
