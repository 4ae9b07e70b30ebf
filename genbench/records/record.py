"""`Record`: what one finished or failed cell stores on disk, one JSON file; and the identity of a cell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import InputError
from genbench.machine import atomic
from genbench.machine.privacy import installed_folders, without_paths
from genbench.records.fields import is_cell_id
from genbench.records.identity import identity
from genbench.records.schemas import SCHEMA
from genbench.records.signed import checksum

__all__ = [
    "Record",
    "RecordError",
    "cell_id",
    "checkpoint_path",
    "not_applicable",
    "record_path",
    "without_numbers",
    "write_record",
]


class RecordError(InputError):
    """A record that cannot be trusted: truncated, edited, or written by a newer genbench."""


# Parts of a cell's description that cannot change a number.
_INCIDENTAL = frozenset({"label", "summary"})
_OF_CONTROLS = frozenset(
    {"model", "options", "role", "plugin", "seed", "dataset", "device", *("samples", "extractor", "metrics")}
)


def cell_id(cell: Mapping[str, Any]) -> str:
    """Return the identity of a cell: the hash of everything in its description that can change its numbers.

    A new field of the description is part of the identity unless it is listed as incidental. For a control the settings
    of training are left out, because it does not train.
    """
    control = cell["role"] != "model"
    decisive = {name: value for name, value in cell.items() if name not in _INCIDENTAL}
    if control:
        decisive = {name: value for name, value in decisive.items() if name in _OF_CONTROLS}
    plugin = decisive.get("plugin")
    role = decisive.pop("role")
    brought = decisive["dataset"].get("plugin")
    return identity(
        decisive
        | {
            "kind": role,  # its name when the first cells got their identities
            # Where the data are stored, and under what name, does not matter; nor does which of several equal GPUs.
            "dataset": decisive["dataset"].get("fingerprint"),
            **({"dataset_plugin": _code(brought)} if brought else {}),
            "device": str(decisive.get("device")).partition(":")[0],
            "plugin": plugin and _code(plugin),
        }
    )


def _code(plugin: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies a plugin's code; where it was installed from does not matter."""
    return {name: plugin.get(name) for name in ("distribution", "version", "source_sha256")}


_TEXTS = ("failure", "not_measured", "environment")  # may contain a path


@dataclass(frozen=True)
class Record:
    """One cell's outcome. `data` is the JSON document; the properties name its most used parts.

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
        """Whether the cell ran to its end; a failed one has a `failure`."""
        return bool(self.data["status"] == "finished")

    @property
    def failed(self) -> bool:
        """Whether the cell was started but did not reach its end."""
        return bool(self.data["status"] == "failed")

    @property
    def unsuitable(self) -> str | None:
        """Why the model does not support the data, if it says so: the cell is not applicable."""
        return self.data.get("unsuitable")

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
        outcome = self.numbers if self.finished else self.unsuitable or (self.failure or {}).get("reason")
        return f"<Record {self.label} on {self.dataset}, seed {self.seed}: {outcome}>"


def record_path(directory: Path, cell_id: str) -> Path:
    """Return the path of a cell's record."""
    return directory / "records" / f"{cell_id}.json"


def checkpoint_path(directory: Path, cell_id: str) -> Path:
    """Return the path of the checkpoint of a cell in training."""
    return directory / "checkpoints" / f"{cell_id}.pt"


def without_numbers(cell_id: str, cell: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Return the document of a cell that has no numbers, except for its status and the reason."""
    empty: dict[str, Any] = {name: {} for name in ("numbers", "cost", "artifacts", "recipes", "environment")}
    return {"schema": SCHEMA, "id": cell_id, "cell": cell, "command": command, **empty, "curve": []}


def not_applicable(cell_id: str, cell: Mapping[str, Any], command: str, reason: str, now: str) -> dict[str, Any]:
    """Return the document of a cell whose model says that it does not support the data."""
    found = {"status": "not applicable", "unsuitable": reason, "failure": None, "finished_at": now}
    return without_numbers(cell_id, cell, command) | found


def write_record(directory: Path, data: Mapping[str, Any]) -> Record:
    """Write a record atomically, with a checksum that reveals edits; private paths are removed from its texts.

    Raises:
        ValueError: its id is not the identity of a cell, and so not a file name.
    """
    if not is_cell_id(data["id"]):
        raise ValueError(f"{data['id']!r} is not the identity of a cell")
    body = {key: value for key, value in data.items() if key != "sha256"}
    apart = (directory, *installed_folders())
    body |= {key: without_paths(body[key], *apart) for key in _TEXTS if key in body}
    if "command" in body:  # it must still work where it was run
        body["command"] = without_paths(body["command"])
    document = {**body, "sha256": checksum(body)}
    atomic.write_text(record_path(directory, document["id"]), json.dumps(document, indent=1, allow_nan=True) + "\n")
    return Record(document)
