"""Sets of records to compare: a benchmark's folder, or a baseline file."""

from __future__ import annotations

from pathlib import Path

from genbench.errors import InputError
from genbench.records.baseline import read_baseline
from genbench.records.record import Record, RecordError
from genbench.report.stored import stored_records

__all__ = ["read_set"]


def read_set(path: Path) -> list[Record]:
    """Read the records of a folder or a baseline file.

    Raises:
        InputError: there are none, or one of them cannot be trusted: half a set is of no use to a comparison.
    """
    if path.exists() and not path.is_dir():
        return read_baseline(path)
    if path.suffix == ".json" and not path.exists():
        raise InputError(f"{path} does not exist; `genbench baseline DIR --out {path}` would write it")
    try:
        return stored_records(path)
    except RecordError as error:
        raise InputError(str(error)) from error
