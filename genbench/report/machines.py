"""The machines that records come from: times are compared within one machine, never across machines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.machine.contention import NOTICEABLE
from genbench.records.lean import distinct, per_template
from genbench.report.escape import text
from genbench.report.formatting import NOTHING, memory
from genbench.report.model import Table
from genbench.report.order import Record

__all__ = ["Machine", "machine_table", "machines", "ran", "shared", "waited"]

# What decides how fast a cell runs. The commit does not, and the reported memory varies slightly between starts.
_SPEED_FIELDS = (
    *("device", "device_name", "processor", "cores", "threads", "jobs", "platform"),
    *("python", "torch", "genbench"),
)


@dataclass(frozen=True)
class Machine:
    """One machine with its software: a letter for tables, and the ids of the records made on it."""

    letter: str
    environment: Mapping[str, Any]
    record_ids: frozenset[str]


def machines(records: Iterable[Record]) -> list[Machine]:
    """Return the machines in the order in which records name them; a record that names no machine belongs to none."""
    found: dict[str, tuple[Mapping[str, Any], set[str]]] = {}
    key_of = per_template(_key)
    for record in records:
        if environment := record.get("environment"):
            found.setdefault(key_of(record), (environment, set()))[1].add(record["id"])
    return [
        Machine(_letter(position), environment, frozenset(ids))
        for position, (environment, ids) in enumerate(found.values())
    ]


def _key(record: Record) -> str:
    return json.dumps([record["environment"].get(name) for name in _SPEED_FIELDS], default=str)


def ran(known: Iterable[Machine], records: Iterable[Record]) -> list[Machine]:
    """Return the machines on which any of the records were made."""
    ids = {record["id"] for record in records}
    return [machine for machine in known if machine.record_ids & ids]


def shared(known: Iterable[Machine]) -> str:
    """Return a note that other cells ran during speed measurements, or an empty string if each cell ran alone."""
    together = {machine.letter: int(machine.environment.get("jobs", 1)) for machine in known}
    most = max(together.values(), default=1)
    if most == 1:
        return ""
    return (
        f"**Shared:** up to {most} cells ran side by side, each with its share of the machine, so these speeds are "
        "lower than those of a cell that runs alone, and comparable only with others measured in the same way."
    )


def waited(records: Iterable[Record]) -> float:
    """Return the largest share of a training that its threads waited for a processor; 0 if none is noticeable."""
    shares = [record["cost"].get("waited_share") or 0.0 for record in records]
    return max((share for share in shares if share >= NOTICEABLE), default=0.0)


def machine_table(known: Sequence[Machine], records: Sequence[Record]) -> Table:
    """Return the machines as a table, one column per machine."""
    names = dict.fromkeys(name for machine in known for name in machine.environment)
    header = ["", *(f"machine {machine.letter}" if len(known) > 1 else "machine" for machine in known)]
    lines = []
    several = list(distinct(records))
    made = [[record["environment"] for record in several if record["id"] in machine.record_ids] for machine in known]
    for name in names:
        cells = [
            ", ".join(dict.fromkeys(_shown(name, environment.get(name)) for environment in environments))
            for environments in made
        ]
        lines.append([_heading(name), *cells])
    lines.append(["cells", *(str(len(machine.record_ids)) for machine in known)])
    return Table(header, lines, left=len(header))


def _letter(position: int) -> str:
    # A, B, ..., Z, AA, AB, ...
    letters = ""
    position += 1
    while position:
        position, remainder = divmod(position - 1, 26)
        letters = chr(ord("A") + remainder) + letters
    return letters


def _heading(name: str) -> str:
    names = {"memory_bytes": "memory", "genbench": "genbench version", "jobs": "cells side by side"}
    return text(names.get(name, name.replace("_", " ")))


def _shown(name: str, value: Any) -> str:
    if value is None:
        return NOTHING
    return memory(value) if name.endswith("_bytes") else text(value)
