"""Weights & Biases: one run per cell, grouped by benchmark; offline unless requested otherwise."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from genbench import Held, ObservedBenchmark, ObservedCell, ObservedEnd, ObservedPoint, Observer, hookimpl
from genbench_observers.libraries import require
from genbench_observers.pages import failure_page, numbers_page

__all__ = ["WeightsAndBiases", "build_observer"]

STEP, STATUS = "_step", "genbench/status"
WRITING_S, MOST_S = 2.0, 10.0  # in which W&B's process writes its buffer if undisturbed; and the longest wait for it
BLOCK, HEADER = 32_768, 7  # bytes of W&B's files
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4  # parts of a record


@hookimpl
def build_observer(options: dict[str, Any]) -> Observer:
    require("wandb")
    return WeightsAndBiases(**options)


class WeightsAndBiases(Observer):
    """Logs to `DIR/wandb`; `wandb sync DIR/wandb/offline-run-*` uploads what was logged offline.

    A resumed cell keeps its id. Offline, W&B writes the continuation to another folder with the same id, and joins them
    on upload. Data that W&B's process had not yet written when both were killed are sent again.

    Args:
        dir: the folder.
        project: of the runs.
        entity: user or team; empty takes W&B's own default.
        mode: `online` uploads while the benchmark runs.
        samples: whether pictures, sounds and texts are logged.
    """

    def __init__(
        self,
        dir: str = ".",
        project: str = "genbench",
        entity: str = "",
        mode: Literal["offline", "online"] = "offline",
        samples: bool = True,
    ) -> None:
        self._folder = Path(dir)
        self._project = project
        self._entity = entity
        self._mode = mode
        self._samples = samples
        self._runs: dict[str, Any] = {}

    def begin(self, benchmark: ObservedBenchmark) -> None:
        self._benchmark = benchmark
        self._folder = self._folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self._folder, os.W_OK):  # otherwise W&B would continue in a temporary folder
            raise PermissionError(f"{self._folder} is not writable")

    def begin_cell(self, cell: ObservedCell) -> Held:
        step, ended = _held(self._folder, cell.key)
        if ended:
            return Held(step, True)
        run = self._init(cell)
        if self._mode == "online" and run.resumed:
            ended = run.summary.get(STATUS) in ("finished", "not applicable")
            step = max(step, run.step - 1)  # the next step that W&B would assign
        if ended:
            run.finish(quiet=True)
        else:
            self._runs[cell.key] = run
        return Held(step, ended)

    def points(self, cell: ObservedCell, points: Sequence[ObservedPoint]) -> None:
        for point in points:
            values = {"progress/items": point.items, "progress/training_s": point.elapsed_s}
            values |= {f"losses/{name}": value for name, value in point.losses.items()}
            values |= {f"quality/{name}": value for name, value in point.numbers.items()}
            self._runs[cell.key].log(values, step=point.step, commit=True)

    def end_cell(self, cell: ObservedCell, end: ObservedEnd) -> None:
        run = self._runs.pop(cell.key)
        for group, values in (("final", end.numbers), ("standard_error", end.standard_errors), ("cost", end.costs)):
            run.summary.update({f"{group}/{name}": value for name, value in values.items()})
        for name, text in (("numbers", numbers_page(end)), ("failure", failure_page(end))):
            if text:
                run.summary[f"genbench/{name}"] = text
        for what, path in end.files.items() if self._samples else ():
            if (shown := _shown(path)) is not None:
                run.summary[f"samples/{what}"] = shown
        run.summary[STATUS] = end.status
        run.finish(exit_code=1 if end.status == "failed" else 0)

    def end(self) -> None:
        for run in self._runs.values():  # they will be resumed later
            run.finish(exit_code=1)
        self._runs.clear()

    def _init(self, cell: ObservedCell) -> Any:
        import wandb

        return wandb.init(
            dir=str(self._folder),
            project=self._project,
            entity=self._entity or None,
            group=f"{self._benchmark.name}-{self._benchmark.id}",
            name=cell.name,
            id=cell.key,
            resume="allow" if self._mode == "online" else None,
            config=dict(cell.configuration),
            mode=self._mode,
            reinit="create_new",  # several cells are open at once
            settings=_settings(),
        )


def _settings() -> Any:
    """Return settings with which W&B collects only what it is passed: no output, no source, no machine data."""
    import wandb

    return wandb.Settings(
        console="off",
        silent=True,
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
    )


def _shown(path: Path) -> Any:
    import wandb

    match path.suffix:
        case ".png":
            return wandb.Image(str(path))
        case ".wav":
            return wandb.Audio(str(path))
        case ".txt":
            return path.read_text(encoding="utf-8", errors="replace")
    return None


def _held(folder: Path, run_id: str) -> tuple[int, bool]:
    """Return the last step of a run's curve in its offline folders, and whether one records that it ended well."""
    step, ended = -1, False
    paths = sorted(folder.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb"))
    deadline = time.monotonic() + MOST_S
    while any(time.time() - path.stat().st_mtime < WRITING_S for path in paths) and time.monotonic() < deadline:
        time.sleep(WRITING_S / 10)
    for path in paths:
        for record in _records(path):
            if record.HasField("history"):
                steps = [int(item.value_json) for item in record.history.item if item.key == STEP]
                step = max([step, record.history.step.num, *steps])
            ended |= record.HasField("exit") and record.exit.exit_code == 0
    return step, ended


def _records(path: Path) -> Iterator[Any]:
    """Yield what W&B has written to a run's file, up to where it was cut off.

    The file is a log in LevelDB's format (https://github.com/google/leveldb/blob/main/doc/log_format.md), behind a
    header of its own; Python's part of W&B no longer reads it.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    data = path.read_bytes()
    at, message = HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # padding
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        part = data[at + HEADER : at + HEADER + length]
        if len(part) < length or kind not in (WHOLE, FIRST, MIDDLE, LAST):
            return
        message = part if kind in (WHOLE, FIRST) else message + part
        at += HEADER + length
        if kind in (WHOLE, LAST):
            yield Record.FromString(message)
