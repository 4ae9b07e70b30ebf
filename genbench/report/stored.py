"""Reads the records of a benchmark's folder in compact form."""

from __future__ import annotations

from pathlib import Path

from genbench.errors import InputError
from genbench.machine.collection import no_collection
from genbench.records.files import Digest, ordered
from genbench.records.reading import lean_records
from genbench.records.record import Record

__all__ = ["stored_records"]


def stored_records(directory: Path, digest: Digest | None = None) -> list[Record]:
    """Read the records of a folder in compact form (`lean.LeanRecord`); raise `InputError` if there are none.

    Args:
        digest: updated with what was read (`record_contents`).
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is not a folder; give the folder that `genbench run` wrote")
    if not directory.is_dir():
        raise InputError(f"{directory} does not exist; create it with `genbench run --out {directory}`")
    # One by one: a hundred thousand full records at once would take gigabytes.
    with no_collection():
        records = ordered(map(Record, lean_records(directory, digest)))
    if not records:
        raise InputError(f"{directory} holds no records; write some with `genbench run --out {directory}`")
    return records
