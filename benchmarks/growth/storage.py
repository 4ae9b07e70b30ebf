"""How measurements are stored: a table as CSV and the machine as JSON, both next to the figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from genbench.errors import InputError
from genbench.machine.atomic import write_bytes, write_text
from genbench.report.frame import csv

__all__ = ["load", "save"]


def save(folder: Path, name: str, table: pd.DataFrame, about: dict[str, Any]) -> None:
    """Write `name.csv` and `name.json`."""
    write_bytes(folder / f"{name}.csv", csv(table))
    write_text(folder / f"{name}.json", json.dumps(about, indent=1) + "\n")


def load(folder: Path, name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read both files.

    Raises:
        InputError: nothing has been measured yet.
    """
    table, about = folder / f"{name}.csv", folder / f"{name}.json"
    for path in (table, about):
        if not path.exists():
            raise InputError(f"{path} does not exist; measure first, without --redraw")
    return pd.read_csv(table), json.loads(about.read_text(encoding="utf-8"))
