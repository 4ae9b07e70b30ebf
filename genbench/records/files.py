"""Reads records from their files, and refuses those that cannot be trusted."""

from __future__ import annotations

import functools
import hashlib
import marshal
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from genbench.errors import quoted
from genbench.machine.regular_file import read_regular
from genbench.records.fields import fault
from genbench.records.identity import identity
from genbench.records.record import Record, RecordError, cell_id
from genbench.records.schemas import SCHEMA, upgraded
from genbench.records.signed import signed

__all__ = [
    "Digest",
    "checked",
    "contents_of",
    "each_record",
    "foreign",
    "ordered",
    "read_record",
    "read_records",
    "record_contents",
    "record_files",
    "record_of",
    "records_of",
]


class Digest(Protocol):
    """Anything that takes bytes as the hashes of `hashlib` do."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        RecordError: the file is truncated or was edited, its schema is newer than this version's, a field is invalid,
            or it is the record of a cell other than its name says.
    """
    return record_of(path, _content(path))


def _content(path: Path) -> bytes:
    try:
        return read_regular(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error


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
            f"record {path} has schema {quoted(data['schema'])}, this version reads up to {SCHEMA}; update genbench"
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
