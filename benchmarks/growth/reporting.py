"""Seconds and memory of reading a folder of records and writing its report, against their number."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import growth_law
import isolation
import pandas as pd
from parts import Parts, repeated

from genbench import report
from genbench.records.identity import canonical
from genbench.records.record import record_path
from genbench.records.rendered import NOTE
from genbench.report import figure_files
from genbench.report.stored import stored_records

__all__ = ["QUICK", "SETTINGS", "Size", "Writer", "measure", "more_seeds", "more_settings"]

TOYS = Path(__file__).parents[2] / "tests" / "test_report" / "conftest.py"
SEEDS = 5
ENOUGH_S = 5.0
PARTS = {
    "CSV files": ((report, "result_columns"), (report, "write_table"), (report, "write_curves")),
    "pictures": ((report, "write_montage"), (figure_files, "_draw")),
}
"""The functions that `render` calls, by part, with the modules that call them."""


@dataclass(frozen=True)
class Size:
    """The extent of the measurement: records per folder, and repeats of small folders."""

    counts: tuple[int, ...] = (100, 1000, 10_000, 100_000)
    repeats: int = 3


SETTINGS = Size()
QUICK = Size(counts=(10, 20), repeats=1)


def measure(size: Size, limit_s: float) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per folder, repeat and part, and a line about each folder that was left out.

    Two kinds of folders grow, the two extremes of what users have. `seeds`: always four models and four controls, with
    ever more seeds. `settings`: five seeds of ever more settings of a model, each a row of the table.

    Args:
        size: the points.
        limit_s: a folder is left out if, at the growth so far, it would exceed this.
    """
    rows: list[dict[str, Any]] = []
    left_out: list[str] = []
    for grown, name in (("seeds", more_seeds), ("settings", more_settings)):
        with tempfile.TemporaryDirectory() as folder:
            directory, written = Path(folder), 0
            writer = Writer(directory)
            known: list[tuple[int, float]] = []
            for count in size.counts:
                if why := growth_law.passes(known, count, limit_s):
                    left_out.append(f"{count:,} records, more {grown}: {why}")
                    print(f"report: left out {left_out[-1]}", flush=True)
                    continue
                for number in range(written, count):
                    writer.write(*name(number, writer.labels))
                written = count
                found = isolation.isolated(_point, directory, size.repeats)
                rows += [{"grown": grown, "records": count} | row for row in found]
                total = min(row["seconds"] for row in found if row["part"] == "all")
                known.append((count, total))
                added = found[0]["added_bytes"] / 2**20
                print(f"report: {count:,} records, more {grown}: {total:.2f} s, +{added:,.0f} MiB", flush=True)
    return pd.DataFrame(rows), left_out


def more_seeds(number: int, labels: list[str]) -> tuple[str, str, int]:
    """Return model, options and seed of a record for folders with ever more seeds of the same models."""
    return labels[number % len(labels)], "", number // len(labels)


def more_settings(number: int, labels: list[str]) -> tuple[str, str, int]:
    """Return model, options and seed of a record for folders with ever more settings of a model."""
    setting, seed = divmod(number, SEEDS)
    models, controls = labels[:4], labels[4:]
    if setting < len(controls):
        return controls[setting], "", seed
    return models[setting % len(models)], f":width={setting}", seed


class Writer:
    """Writes records as fast as the disk allows: one text per model, in which label, seed and checksum are replaced."""

    SEED = 987654321

    def __init__(self, directory: Path) -> None:
        spec = importlib.util.spec_from_file_location("toy_records", TOYS)
        assert spec is not None
        assert spec.loader is not None
        toys = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(toys)
        self.labels = [*toys.MODELS, *toys.CONTROLS]
        self._directory = directory
        self._texts = {}
        for label in self.labels:
            body = toys.make_record(label, 0)
            body["cell"] |= {"label": "LABEL", "seed": self.SEED}
            body |= {"id": "ID", "sha256": "CHECKSUM"}
            signed = {key: value for key, value in body.items() if key != "sha256"}
            self._texts[label] = json.dumps(body, indent=1) + "\n", canonical(signed).decode()
        record_path(directory, "").parent.mkdir(parents=True, exist_ok=True)

    def write(self, model: str, options: str, seed: int) -> None:
        """Write the record of one cell, with a valid checksum and without flushing: the disk is not being measured."""
        label = f"{model}{options}"
        name = hashlib.sha256(f"{label} {seed}".encode()).hexdigest()[:16]
        document, signed = (
            text.replace('"LABEL"', f'"{label}"').replace(str(self.SEED), str(seed)).replace('"ID"', f'"{name}"')
            for text in self._texts[model]
        )
        checksum = hashlib.sha256(signed.encode()).hexdigest()
        record_path(self._directory, name).write_text(document.replace("CHECKSUM", checksum), encoding="utf-8")


def _point(directory: Path, repeats: int) -> list[dict[str, Any]]:
    before = isolation.resident_bytes()
    rows = repeated(lambda: _rendering(directory), repeats, ENOUGH_S)
    page = (directory / "report.md").stat().st_size
    return [row | {"added_bytes": isolation.added_bytes(before), "page_bytes": page} for row in rows]


def _rendering(directory: Path) -> dict[str, float]:
    """Return the seconds of `genbench report` on a folder, and of its parts."""
    parts = Parts.fromkeys(("reading", *PARTS), 0.0)

    def timed(part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timing(*arguments: Any, **options: Any) -> Any:
            with parts.clocked(part):
                return call(*arguments, **options)

        return timing

    def reading(*arguments: Any) -> Any:
        with parts.clocked("reading"):
            return stored_records(*arguments)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(report, "stored_records", reading))
        for part, calls in PARTS.items():
            for caller, name in calls:
                stack.enter_context(mock.patch.object(caller, name, timed(part, getattr(caller, name))))
        (directory / NOTE).unlink(missing_ok=True)  # otherwise the report would be left as it is
        begin = time.perf_counter()
        report.render_directory(directory)
        total = time.perf_counter() - begin
    return {"all": total} | parts | {"page": total - sum(parts.values())}
