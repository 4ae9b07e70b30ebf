"""What a run set out to do: one small file per plan next to the records, so that a report knows what is missing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.config.target import Target
from genbench.errors import InputError
from genbench.machine import atomic
from genbench.machine.regular_file import read_regular
from genbench.records.identity import canonical

__all__ = ["missing_cells", "planned_cells", "planned_targets", "write_plan"]

SCHEMA = 2
_FIELDS = ("label", "role", "seed", "budget")

Cell = Mapping[str, Any]


def write_plan(directory: Path, cells: Iterable[tuple[str, Mapping[str, Any]]], targets: Sequence[str] = ()) -> None:
    """Write which cells a run will compute, as (id, the record's description of the cell), atomically.

    Its targets are stored too, so that a report rendered later includes them.

    The file is named by its content: the same request writes the same file, and two requests on one directory two.
    """
    document: dict[str, Any] = {"schema": SCHEMA, "cells": [{"id": name, **_flat(cell)} for name, cell in cells]}
    if targets:  # without targets, a plan stays as it was before they existed
        document["targets"] = list(targets)
    path = directory / "plans" / f"{hashlib.sha256(canonical(document)).hexdigest()[:16]}.json"
    if not path.exists():
        atomic.write_text(path, json.dumps(document, indent=1) + "\n")


def missing_cells(directory: Path, records: Sequence[Mapping[str, Any]]) -> list[Cell]:
    """Return the planned cells for which `records` contain none, neither finished nor failed.

    A cell that was planned with another source of its model, or other settings, counts as run if there is a record of
    its model, dataset, seed and budget. A directory without plans, as older versions left it, lacks nothing.

    Raises:
        InputError: a plan cannot be read.
    """
    planned = {_key(cell): cell for document in _documents(directory) for cell in document["cells"]}
    known = {record["id"] for record in records} if planned else set()
    missing = {key: cell for key, cell in planned.items() if cell["id"] not in known}
    if missing:  # most often nothing is, and this is slow
        for record in records:
            missing.pop(_key(_flat(record["cell"])), None)
    return list(missing.values())


def planned_cells(directory: Path) -> dict[str, Cell]:
    """Return the cells of all runs on a directory by id.

    Raises:
        InputError: a plan cannot be read.
    """
    return {cell["id"]: cell for document in _documents(directory) for cell in document["cells"]}


def planned_targets(directory: Path) -> list[str]:
    """Return the targets of all runs on a directory, each once.

    Raises:
        InputError: a plan cannot be read.
    """
    return list(dict.fromkeys(target for document in _documents(directory) for target in document["targets"]))


def _documents(directory: Path) -> Iterator[dict[str, Any]]:
    return map(_read, sorted((directory / "plans").glob("[!.]*.json")))


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_regular(path))
        if document["schema"] == 1:
            cells = [{"role": cell.pop("kind"), **cell} for cell in document["cells"]]
            document = {"schema": SCHEMA, "cells": cells}
        targets = [str(Target.parse(text)) for text in document.get("targets", [])]
        if document["schema"] == SCHEMA and all(
            {"id", "dataset", *_FIELDS} <= cell.keys() for cell in document["cells"]
        ):
            return {"cells": list(document["cells"]), "targets": targets}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, InputError):
        pass  # one message for every possible cause
    raise InputError(f"plan {path} cannot be read; delete it, and the next `genbench run` rewrites it")


def _flat(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {"dataset": cell["dataset"]["name"], **{name: cell.get(name) for name in _FIELDS}}


def _key(cell: Cell) -> str:
    return json.dumps([cell.get(name) for name in ("dataset", *_FIELDS)])
