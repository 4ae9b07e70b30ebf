"""The order in which records are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from genbench.records.lean import seed_of, shared_cell

__all__ = ["Record", "in_order"]

Record = Mapping[str, Any]


def in_order(records: Iterable[Record]) -> list[Record]:
    """Return the records sorted by dataset, role (models before controls), label, seed and id."""

    def key(record: Record) -> tuple[Any, ...]:
        cell = shared_cell(record)
        return cell["dataset"]["name"], cell["role"] != "model", cell["label"], seed_of(record), record["id"]

    return sorted(records, key=key)
