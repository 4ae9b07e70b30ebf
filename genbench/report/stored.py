"""Reads the records of a benchmark's folder, for `genbench report DIR` and `genbench.load_records(DIR)`."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

import pandas

from genbench.errors import InputError
from genbench.records.reading import lean_records
from genbench.records.record import Digest, Record, ordered
from genbench.report.frame import first_look, frame

__all__ = ["load_records", "no_collection", "stored_records"]


def stored_records(directory: Path, digest: Digest | None = None) -> list[Record]:
    """Read the records of a folder in compact form (`lean.LeanRecord`); raise `InputError` if there are none.

    Args:
        digest: updated with what was read (`record_contents`).
    """
    if not directory.is_dir():
        raise InputError(f"{directory} does not exist; create it with `genbench run --out {directory}`")
    # One by one: a hundred thousand full records at once would take gigabytes.
    with no_collection():
        records = ordered(map(Record, lean_records(directory, digest)))
    if not records:
        raise InputError(f"{directory} holds no records; write some with `genbench run --out {directory}`")
    return records


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Do without the collection of cycles: it would visit all records, which contain none, time and again."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def load_records(directory: str | Path) -> pandas.DataFrame:
    """Return the records of a benchmark's folder as a tidy table: one row per cell, one column per number, cost or
    setting.

    The most relevant columns come first (`first_look`); the others keep the order of `results.csv`.

    Raises:
        InputError: the folder does not exist, or holds no records.
        RecordError: a record is truncated or was edited.

    Example::

        table = genbench.load_records("reports/digits")
        table.groupby("label")["fd"].mean()
    """
    return first_look(frame([record.data for record in stored_records(Path(directory))]))
