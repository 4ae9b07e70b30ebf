"""One task on a worker: its folder, its state, and the answer sent to its requester."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genbench.errors import InputError
from genbench.execution.cluster import parcels
from genbench.execution.cluster.vetting import Shipment, found_here
from genbench.execution.running import LOG_LIMIT_BYTES, Outcome, Running
from genbench.machine.privacy import without_paths
from genbench.machine.regular_file import open_regular
from genbench.records.record import checkpoint_path

__all__ = ["Hosted", "failed"]


@dataclass
class Hosted:
    """One task on this worker; `answer` is complete once it has `ended`."""

    key: str
    folder: Path
    cell_id: str | None = None  # None for a check
    answer: dict[str, Any] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    ended_at: float = 0.0
    running: Running | None = None
    topic: str = ""  # of its events, to which its requester subscribes
    wanted: bool = True
    slot: int | None = None  # of the GPUs of its host, while it runs

    def end(self, answer: dict[str, Any]) -> None:
        """Set the answer, and mark it as ended."""
        self.answer, self.ended_at = answer, time.monotonic()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.ended.set()

    def answer_of(self, outcome: Outcome) -> dict[str, Any]:
        """Return the answer for an outcome: plain values and bytes."""
        parcel: dict[str, Any] = {}
        if outcome.ok and self.cell_id is not None:
            try:
                parcel = parcels.pack(self.folder, self.cell_id)
            except (OSError, parcels.ParcelError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                reason = f"what the cell left on its worker cannot be used: {why}"
                outcome = replace(outcome, value=None, reason=reason)
        told = {
            "value": outcome.value,
            "stage": outcome.stage,
            "kind": outcome.kind,
            **without_paths(
                {"reason": outcome.reason, "traceback": outcome.traceback, "log_tail": outcome.log_tail},
                self.folder.parent,
                self.folder,
            ),
        }
        return {"outcome": told, "log": _end_of(self.folder / "log"), **parcel}

    def placed(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return its payload with the paths of this machine: folders, and the model's code.

        Raises:
            GenbenchError: the model here is not the one that was sent.
            OSError: a folder cannot be created.
        """
        payload = dict(asked["payload"])
        shipment: Shipment | None = asked["model"]
        if asked["task"] != "check_data" and shipment is not None:
            folder = self.folder.parent / shipment.key
            found, covered, own = found_here(shipment, folder)
            cell = payload["cell"]
            payload["cell"] = {**cell, "model": {**cell["model"], "name": shipment.spec(folder).name}}
            if own.source_sha256 != shipment.source_sha256:
                raise InputError(f"{found}: its source here is not that of the cell; run the same command again")
            if asked["task"] == "run_cell":
                payload["covered"] = covered and covered.to_json()
        if asked["task"] == "run_cell":
            payload["directory"] = str(self.folder)
            if self.slot is not None:
                payload["slot"] = self.slot
            if asked["shared"] is not None:
                checkpoints = Path(asked["shared"]) / "checkpoints"
                checkpoints.mkdir(parents=True, exist_ok=True)
                (self.folder / "checkpoints").symlink_to(checkpoints)
                if asked["anew"]:
                    checkpoint_path(self.folder, payload["id"]).unlink(missing_ok=True)
        return payload


def _end_of(log: Path) -> bytes:
    """Return the end of a cell's output; nothing if there is none, or if a model has put something else there."""
    try:
        with open_regular(log) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_LIMIT_BYTES))
            return file.read(LOG_LIMIT_BYTES)
    except OSError:
        return b""


def failed(reason: str, kind: str = "failure") -> dict[str, Any]:
    """Return the answer for a task that could not be started."""
    words = {"stage": "start", "kind": kind, "reason": reason, "traceback": "", "log_tail": ""}
    return {"outcome": {"value": None, **words}, "log": b""}
