"""The process that times and counts one revision: run by its path, with that revision's genbench on the path.

It reads one JSON command per line on standard input and answers with one JSON line: the requested result, or an
`error`. `workload` and `counters` come from this file's own genbench, whatever the revision, so both sides are measured
in the same way.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

WARM_UP_STEPS = 5


def _own(room: str, name: str) -> ModuleType:
    """Import a module of the genbench that this file belongs to, under a name that no revision uses."""
    path = Path(__file__).parents[1] / room / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"genbench_measuring_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module here
    spec.loader.exec_module(module)
    return module


def clocks() -> dict[str, Callable[[], float]]:
    """Return clocks in seconds: this process's CPU time, and the wall clock."""
    return {"cpu": time.process_time, "wall": time.perf_counter}


class Worker:
    """Answers the commands; prepared workloads stay until they are dropped."""

    def __init__(self) -> None:
        self.counters = _own("training", "counters")
        self.prepared: dict[str, Any] = {}

    @functools.cached_property
    def workload(self) -> ModuleType:
        try:
            return _own("regression", "workload")
        except ImportError as error:
            raise RuntimeError(
                f"its genbench has another contract for plugins ({error}), so the two revisions cannot run the same "
                "steps; compare with a revision from after that change"
            ) from error

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        operation = command.pop("do")
        found: dict[str, Any] = getattr(self, f"do_{operation}")(**command)
        return found

    def do_hello(self) -> dict[str, Any]:
        import genbench

        return {
            "genbench": str(Path(genbench.__file__).parent),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "clocks": list(clocks()),
        }

    def do_pin(self, core: int | None) -> dict[str, Any]:
        """Stay on one core, if the system lets a process choose."""
        if core is not None:
            os.sched_setaffinity(0, {core})
        return {}

    def do_prepare(self, key: str, model: str, shape: list[int], batch: int) -> dict[str, Any]:
        """Build and warm up a workload, and return its seconds per step."""
        workload = self.workload.workload_for(model, shape, batch)
        timer = self.workload.Timer(clocks(), workload.device)
        workload.train(1, WARM_UP_STEPS, timer)
        workload.train(2, WARM_UP_STEPS, timer)
        self.prepared[key] = workload
        seconds = next(iter(timer.windows.values()))
        return {"seconds_per_step": min(seconds[1:]) / WARM_UP_STEPS, "root": str(workload.plugin.found.root())}

    def do_time(self, key: str, windows: int, steps: int, settle: int) -> dict[str, Any]:
        """After `settle` steps, run the training loop for some windows, and return each one's seconds by each clock."""
        workload = self.prepared[key]
        workload.train(1 if settle else 0, settle, time.perf_counter)  # the caches still hold another's data
        timer = self.workload.Timer(clocks(), workload.device)
        workload.train(windows, steps, timer)
        return {"seconds": timer.windows}

    def do_drop(self, key: str) -> dict[str, Any]:
        del self.prepared[key]
        return {}

    def do_count(self, model: str, shape: list[int], batch: int, compiled: bool) -> dict[str, Any]:
        """Count a training step; for a compiled model, count the compilation. A model may refuse the shape."""
        try:
            workload = self.workload.workload_for(model, shape, batch, compile_backend="eager" if compiled else None)
        except Exception as refusal:
            # By name, because the measured revision has its own class for it.
            if not isinstance(refusal, ValueError) and type(refusal).__name__ != "Unsuitable":
                raise
            return {"refused": str(refusal)}
        if compiled:
            return {"counts": self.counters.count_compilation(workload.step)}
        return {"counts": self.counters.count(workload.step, workload.device)}


def main() -> None:
    # A plugin's output goes to the log; only answers go to the parent.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        try:
            found = worker.answer(json.loads(line))
        except Exception as error:  # the parent reports any of them
            traceback.print_exc()
            found = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
