"""A baseline: what a comparison needs from a set of records, in one small file that can be committed.

Curves, images and logs are left out, and what all records share is written once. Each cell takes one line, so that the
diff of a baseline shows the cells that changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.errors import InputError, quoted
from genbench.machine import atomic
from genbench.machine.regular_file import read_regular
from genbench.records.files import checked
from genbench.records.identity import canonical
from genbench.records.record import Record, RecordError
from genbench.records.schemas import SCHEMA

__all__ = ["read_baseline", "write_baseline"]

BASELINE_SCHEMA = 1
_KIND = "genbench_baseline"


def write_baseline(path: Path, records: Sequence[Record]) -> None:
    """Write the records' cells, numbers, recipes, costs and environments to `path`, atomically."""
    environments: list[Any] = []
    recipes: dict[str, Any] = {}
    for record in records:
        recipes |= record.data["recipes"]
        if record.data["environment"] not in environments:
            environments.append(record.data["environment"])
    shared = _shared([record.data["cell"] for record in records])
    body = {
        _KIND: BASELINE_SCHEMA,
        "record_schema": SCHEMA,
        "shared_cell": shared,
        "environments": environments,
        "recipes": dict(sorted(recipes.items())),
        "records": [_compact(record.data, shared, environments) for record in records],
    }
    atomic.write_text(path, _lines({**body, "sha256": _checksum(body)}))


def read_baseline(path: Path) -> list[Record]:
    """Read a baseline; the records have no curve, no images and no log.

    Raises:
        InputError: the file is not a baseline, was edited, or has a schema that this version does not read.
    """
    try:
        document = json.loads(read_regular(path))
        schema = document[_KIND]
        expected = _checksum({name: value for name, value in document.items() if name != "sha256"})
    except (OSError, ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{path} is not a baseline; `genbench baseline DIR --out {path}` writes one") from error
    for what, found, known in (
        ("baseline", schema, BASELINE_SCHEMA),
        ("record", document.get("record_schema"), SCHEMA),
    ):
        if not isinstance(found, int) or found > known:
            raise InputError(
                f"{path} has {what} schema {quoted(found)}, this version reads up to {known}; update genbench"
            )
    if document.get("sha256") != expected:
        raise InputError(
            f"{path} was edited: its checksum does not match; recreate it with `genbench baseline DIR --out {path}`"
        )
    remedy = f"recreate it with `genbench baseline DIR --out {path}`"
    try:
        restored = [_restored(entry, document) for entry in document["records"]]
        # Identities are not derived: what an older schema wrote was upgraded, but keeps its original identity.
        return [Record(checked(entry, f"{path}", remedy)) for entry in restored]
    except RecordError as error:
        raise InputError(str(error)) from error
    except (AttributeError, LookupError, TypeError) as error:
        raise InputError(f"{path} cannot be used: parts of it are missing; {remedy}") from error


def _shared(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = cells[0]
    return {name: value for name, value in first.items() if all(name in cell and cell[name] == value for cell in cells)}


def _compact(record: Mapping[str, Any], shared: Mapping[str, Any], environments: Sequence[Any]) -> dict[str, Any]:
    failure = record.get("failure")
    return {
        "id": record["id"],
        "status": record["status"],
        "cell": {name: value for name, value in record["cell"].items() if name not in shared},
        "numbers": record["numbers"],
        "cost": record["cost"],
        "environment": environments.index(record["environment"]),
        "failure": failure and {name: failure.get(name) for name in ("stage", "reason")},
        "finished_at": record.get("finished_at"),
    }


def _restored(entry: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    recipes = {number["recipe"] for number in entry["numbers"].values()}
    return {
        **entry,
        "schema": document["record_schema"],
        "cell": {**document["shared_cell"], **entry["cell"]},
        "recipes": {name: document["recipes"][name] for name in sorted(recipes)},
        "environment": document["environments"][entry["environment"]],
        "curve": [],
        "artifacts": {},
    }


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(body)).hexdigest()


def _lines(document: Mapping[str, Any]) -> str:
    """Return JSON with one line per entry of each top-level list or mapping, so that diffs are readable."""
    parts = []
    for name, value in document.items():
        if isinstance(value, list):
            shown = "[\n" + ",\n".join(f"  {_dense(entry)}" for entry in value) + "\n ]"
        elif isinstance(value, dict):
            entries = (f"  {json.dumps(key)}: {_dense(entry)}" for key, entry in value.items())
            shown = "{\n" + ",\n".join(entries) + "\n }"
        else:
            shown = _dense(value)
        parts.append(f" {json.dumps(name)}: {shown}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _dense(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
