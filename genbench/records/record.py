"""`Record`: what one finished or failed cell stores on disk, one JSON file; and the identity of a cell."""

from __future__ import annotations

import functools
import hashlib
import json
import marshal
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from genbench.errors import GenbenchError
from genbench.machine import atomic
from genbench.machine.privacy import installed_folders, without_paths
from genbench.records.fields import fault, is_cell_id
from genbench.records.identity import identity
from genbench.records.schemas import SCHEMA, upgraded
from genbench.records.signed import checksum, signed

__all__ = [
    "Digest",
    "Record",
    "RecordError",
    "cell_id",
    "checked",
    "checkpoint_path",
    "contents_of",
    "each_record",
    "foreign",
    "not_applicable",
    "ordered",
    "read_record",
    "read_records",
    "record_contents",
    "record_files",
    "record_of",
    "record_path",
    "records_of",
    "without_numbers",
    "write_record",
]


class Digest(Protocol):
    """Anything that takes bytes as the hashes of `hashlib` do."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""


class RecordError(GenbenchError):
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


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        RecordError: the file is truncated or was edited, its schema is newer than this version's, a field is invalid,
            or it is the record of a cell other than its name says.
    """
    return record_of(path, _content(path))


def _content(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would block
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ValueError("not a regular file")
            return _whole(descriptor, found.st_size)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error


def _whole(descriptor: int, size: int) -> bytes:
    content = os.read(descriptor, size + 1)  # one byte more than there should be: usually the only call
    if len(content) != size:
        while part := os.read(descriptor, 2**20):
            content += part
    return content


def _unreadable(path: Path) -> RecordError:
    return RecordError(f"record {path} cannot be read: truncated or not a record; delete it to run its cell again")


def record_of(path: Path, content: bytes) -> Record:
    """Return the record in a file with this content; raise as `read_record` does."""
    try:
        data, fits = signed(content)
        newer = data["schema"] > SCHEMA
        if not newer and data["schema"] not in range(1, SCHEMA + 1):
            raise ValueError(data["schema"])
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise _unreadable(path) from error
    if newer:
        raise RecordError(
            f"record {path} has schema {data['schema']}, this version reads up to {SCHEMA}; update genbench"
        )
    if not fits:
        raise RecordError(f"record {path} was edited: its checksum does not match; delete it to run its cell again")
    record = checked(data, f"record {path}", "delete it to run its cell again")
    if fault := foreign(path, data):
        raise RecordError(f"record {path} {fault}; delete it to run its cell again")
    return Record(record)


def checked(data: dict[str, Any], who: str, remedy: str) -> dict[str, Any]:
    """Return a record's document upgraded to this version's schema, once each of its fields is valid.

    Raises:
        RecordError: one is not; the line begins with `who` and ends with `remedy`.
    """
    try:
        record = upgraded(data)
        wrong = fault(record)
    except (AttributeError, KeyError, TypeError) as error:  # an older schema is upgraded before it is known to be valid
        raise RecordError(f"{who} cannot be used: parts of it are missing; {remedy}") from error
    if wrong:
        raise RecordError(f"{who} cannot be used: {wrong}; genbench did not write it like this: {remedy}")
    return record


def foreign(path: Path, data: Mapping[str, Any]) -> str:
    """Return how a valid record disagrees with the cell in whose file it lies; empty if it does not.

    Schemas 1 and 2 did not store everything that their identities depend on, so for those only the name can be checked.
    """
    if path.name != f"{data['id']}.json":
        return f"is the record of cell {data['id']}, under another cell's name"
    if data["schema"] > 2 and (expected := cell_id(upgraded(dict(data))["cell"])) != data["id"]:
        return f"describes the cell {expected}, not its own"
    if data["schema"] > 2 and not _are_named(marshal.dumps(data["recipes"], 2)):
        return "has a recipe under another's id"
    return ""


@functools.lru_cache(maxsize=256)  # most records of a folder have the same recipes
def _are_named(recipes: bytes) -> bool:
    return all(identity(recipe, 8) == name for name, recipe in marshal.loads(recipes).items())


def record_contents(directory: Path, digest: Digest | None = None) -> Iterator[tuple[Path, bytes]]:
    """Yield the bytes of each record of a benchmark's directory, in order of file name.

    Args:
        digest: is fed the name and the checksum of each, so that it distinguishes two states of the directory.

    Raises:
        RecordError: one cannot be read.
    """
    return contents_of(record_files(directory), digest)


def contents_of(paths: Iterable[Path], digest: Digest | None) -> Iterator[tuple[Path, bytes]]:
    """Yield the bytes of these records, as `record_contents` does for a whole directory."""
    for path in paths:
        content = _content(path)
        if digest:
            digest.update(f"{path.name} {hashlib.sha256(content).hexdigest()}\n".encode("utf-8", "surrogateescape"))
        yield path, content


def record_files(directory: Path) -> Iterator[Path]:
    """Yield the files of a benchmark's records, in order of name."""
    folder = directory / "records"
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(".json")]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        names = []
    return (folder / name for name in sorted(names) if name[0] != ".")


def each_record(directory: Path, digest: Digest | None = None) -> Iterator[Record]:
    """Read the records of a benchmark's directory one by one, from the bytes that `record_contents` yields."""
    return records_of(record_files(directory), digest)


def records_of(paths: Iterable[Path], digest: Digest | None = None) -> Iterator[Record]:
    """Read these records one by one, as `each_record` does for a whole directory."""
    return (record_of(path, content) for path, content in contents_of(paths, digest))


def ordered(records: Iterable[Record]) -> list[Record]:
    """Return the records by dataset, model and seed."""
    return sorted(records, key=lambda record: (record.dataset, record.label, record.seed, record.id))


def read_records(directory: Path) -> list[Record]:
    """Read every record of a benchmark's directory, `ordered`."""
    return ordered(each_record(directory))
