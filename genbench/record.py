"""`Record`: what one finished or failed cell leaves on disk, one JSON file; and the identity of a cell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench import atomic
from genbench.errors import GenbenchError
from genbench.identity import canonical

__all__ = [
    "SCHEMA",
    "Record",
    "RecordError",
    "checkpoint_path",
    "each_record",
    "ordered",
    "planned_path",
    "read_planned",
    "read_record",
    "read_records",
    "record_path",
    "upgraded",
    "write_record",
]

SCHEMA = 2


class RecordError(GenbenchError):
    """A record that cannot be trusted: truncated, edited, or written by a newer genbench."""


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    """Read schema 1, whose cells ran one at a time, and which did not say of a failed one what was not measured."""
    environment = data["environment"] and {"jobs": 1, **data["environment"]}
    return {"not_measured": {}, **data, "schema": 2, "environment": environment}


_UPGRADES = {1: _from_1}  # from each older schema to the next


# What every reader takes for granted, and of what kind it is.
_PARTS: dict[str, Any] = {
    **dict.fromkeys(("id", "status"), str),
    **dict.fromkeys(("cell", "numbers", "cost", "recipes", "environment"), Mapping),
    "curve": list,
}
_CELL: dict[str, Any] = {**dict.fromkeys(("model", "label", "kind"), str), "seed": int, "dataset": Mapping}


@dataclass(frozen=True)
class Record:
    """One cell's outcome. `data` is the JSON document; the properties name its most wanted parts.

    Example:
        >>> record = Record({"id": "0f", "status": "finished", "cell": {"label": "vae", "seed": 0},
        ...                  "numbers": {"fd": {"value": 12.5, "recipe": "a1"}}})
        >>> record.label, record.seed, record.numbers
        ('vae', 0, {'fd': 12.5})
    """

    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The cell's identity: 16 hexadecimal digits."""
        return str(self.data["id"])

    @property
    def finished(self) -> bool:
        """Whether the cell came to its end; a failed one has a `failure`."""
        return bool(self.data["status"] == "finished")

    @property
    def label(self) -> str:
        """The model's name with the options that were given."""
        return str(self.data["cell"]["label"])

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return str(self.data["cell"]["dataset"]["name"])

    @property
    def seed(self) -> int:
        """The training seed."""
        return int(self.data["cell"]["seed"])

    @property
    def numbers(self) -> dict[str, float]:
        """Quality at the end of the budget, by name; `data["numbers"]` has each one's recipe."""
        return {name: number["value"] for name, number in self.data["numbers"].items()}

    @property
    def cost(self) -> Mapping[str, Any]:
        """Throughput, memory, parameters and FLOPs."""
        return self.data["cost"]  # type: ignore[no-any-return]  # JSON

    @property
    def failure(self) -> Mapping[str, str] | None:
        """Stage, reason, traceback and the log's tail of a failed cell."""
        return self.data.get("failure")

    def __repr__(self) -> str:
        outcome = self.numbers if self.finished else self.failure and self.failure["reason"]
        return f"<Record {self.label} on {self.dataset}, seed {self.seed}: {outcome}>"


def record_path(directory: Path, cell_id: str) -> Path:
    """Return where the record of a cell lies."""
    return directory / "records" / f"{cell_id}.json"


def checkpoint_path(directory: Path, cell_id: str) -> Path:
    """Return where the checkpoint of a cell in training lies."""
    return directory / "checkpoints" / f"{cell_id}.pt"


def planned_path(directory: Path) -> Path:
    """Return where the ids of the cells stand that were last asked for, as long as one has no record."""
    return directory / "planned.json"


def read_planned(directory: Path) -> list[str]:
    """Return the ids of the cells that were last asked for, where some may have no record yet."""
    try:
        planned = json.loads(planned_path(directory).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return [str(cell_id) for cell_id in planned] if isinstance(planned, list) else []


def write_record(directory: Path, data: Mapping[str, Any]) -> Record:
    """Write a record, whole or not at all, with the checksum that tells an edited one."""
    body = {key: value for key, value in data.items() if key != "sha256"}
    document = {**body, "sha256": hashlib.sha256(canonical(body)).hexdigest()}
    atomic.write_text(record_path(directory, document["id"]), json.dumps(document, indent=1, allow_nan=True) + "\n")
    return Record(document)


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        RecordError: the file is truncated or was edited, or its schema is newer than this version's.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        body = {key: value for key, value in data.items() if key != "sha256"}
        checksum, expected = data["sha256"], hashlib.sha256(canonical(body)).hexdigest()
        newer = data["schema"] > SCHEMA
        if not newer and data["schema"] not in (*_UPGRADES, SCHEMA):
            raise ValueError(data["schema"])
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise RecordError(
            f"record {path} cannot be read: truncated or no record; delete it to run its cell again"
        ) from error
    if newer:
        raise RecordError(
            f"record {path} has schema {data['schema']}, this version reads up to {SCHEMA}; update genbench"
        )
    if checksum != expected:
        raise RecordError(f"record {path} was edited: its checksum does not fit; delete it to run its cell again")
    record = upgraded(data)
    fault = _fault(record)
    if fault:
        raise RecordError(f"record {path} {fault}: genbench did not write it so; delete it to run its cell again")
    return Record(record)


def _fault(record: Mapping[str, Any]) -> str:
    """Return what a record lacks without which no reader can use it, in words; empty where it has all."""
    for what, part, parts in (
        ("it", record, _PARTS),
        ("its cell", record.get("cell"), _CELL),
        ("its dataset", (record.get("cell") or {}).get("dataset"), {"name": str}),
    ):
        for name, kinds in parts.items():
            if not isinstance(part, Mapping) or not isinstance(part.get(name), kinds):
                return f"cannot be used, as {what} has no {name}"
    for name, number in record["numbers"].items():
        known = isinstance(number, Mapping) and number.get("recipe") in record["recipes"]
        if not known or not isinstance(number.get("value"), int | float | None):
            return f"cannot be used, as its {name} is no number with a recipe"
    return ""


def upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """Return a record's document as this version's schema has it."""
    while data["schema"] < SCHEMA:
        data = _UPGRADES[data["schema"]](data)
    return data


def each_record(directory: Path) -> Iterator[Record]:
    """Read the records of a benchmark's directory one after the other, by the names of their files."""
    return map(read_record, sorted((directory / "records").glob("[!.]*.json")))


def ordered(records: Iterable[Record]) -> list[Record]:
    """Return the records by dataset, model and seed."""
    return sorted(records, key=lambda record: (record.dataset, record.label, record.seed, record.id))


def read_records(directory: Path) -> list[Record]:
    """Read every record of a benchmark's directory, `ordered`."""
    return ordered(each_record(directory))
