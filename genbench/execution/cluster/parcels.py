"""The results of a cell on a worker, as bytes with SHA-256: packed there, checked and written by the benchmark."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from genbench.errors import GenbenchError
from genbench.machine import atomic
from genbench.machine.regular_file import open_regular
from genbench.records.files import record_of
from genbench.records.record import Record, RecordError, record_path

__all__ = ["ParcelError", "pack", "unpack"]

FOLDER = "samples"  # of all files that a record may name
MOST_BYTES = 2**30  # of one cell: a picture has a few megabytes at most


class ParcelError(GenbenchError):
    """The answer of a worker cannot be used; the line describes what is wrong with it."""


def pack(directory: Path, cell_id: str) -> dict[str, Any]:
    """Return the record of a cell and the files that it names, by their paths in `directory`, each with its hash.

    A model may have left anything in their place, and this runs in the process that hosts all cells of its worker.

    Raises:
        ParcelError: there is no valid record, or the files are too large.
        OSError: a file cannot be read.
    """
    record = record_path(directory, cell_id)
    content = _read(record, MOST_BYTES)
    left, files = MOST_BYTES - len(content), {}
    for path in dict.fromkeys(_checked(content, cell_id).data["artifacts"].values()):
        files[path] = _read(directory / path, left)
        left -= len(files[path])
    files[record.relative_to(directory).as_posix()] = content
    return {"files": files, "sha256": {path: _sha256(content) for path, content in files.items()}}


def _read(path: Path, most: int) -> bytes:
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise ParcelError(f"{path.name} is larger than any cell's files")
        return file.read(most)


def unpack(parcel: Mapping[str, Any], directory: Path, cell_id: str) -> None:
    """Check the output of `pack` for a cell, and write it to `directory`, the record last.

    Raises:
        ParcelError: a file is not what was sent, is missing, or has no business there; or the record is not valid.
        OSError: a file cannot be written.
    """
    files, sums = parcel.get("files"), parcel.get("sha256")
    if (
        not isinstance(files, dict)
        or not isinstance(sums, dict)
        or not all(type(each) is bytes for each in files.values())
    ):
        raise ParcelError("what came back from its worker is nothing that genbench sends")
    if sum(map(len, files.values())) > MOST_BYTES:
        raise ParcelError("what came back from its worker is larger than any cell's files")
    for path, content in files.items():
        if sums.get(path) != _sha256(content):
            raise ParcelError(f"{path} came back from its worker damaged: its checksum does not fit")
    written = record_path(directory, cell_id)
    name = written.relative_to(directory).as_posix()
    if name not in files:
        raise ParcelError("its worker sent no record")
    named = _checked(files[name], cell_id).data["artifacts"].values()
    for path in dict.fromkeys(named):
        if PurePosixPath(path).parts[:1] != (FOLDER,) or path not in files:
            raise ParcelError(f"its record names {path}, which its worker did not send or may not")
        if not _holds(directory / path, files[path]):
            atomic.write_bytes(directory / path, files[path])
    atomic.write_bytes(written, files[name])


def _checked(content: bytes, cell_id: str) -> Record:
    """Parse bytes as the record of a cell, in the same way as every record."""
    try:
        return record_of(Path(f"{cell_id}.json"), content)
    except RecordError as error:
        # What follows is what to do about a file that lies here.
        raise ParcelError(str(error).partition(";")[0]) from error


def _holds(path: Path, content: bytes) -> bool:
    """Return whether the file already exists, like the picture of the data, which many cells share."""
    return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
