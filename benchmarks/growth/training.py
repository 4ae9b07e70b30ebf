"""Training images/s against model width and batch, with the harness's own loop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from genbench.regression import workload
from genbench.regression.workload import Workload
from genbench.training import counters

__all__ = ["QUICK", "SETTINGS", "Size", "measure"]

SHAPE = (1, 28, 28)
WIDTHS = {"vae": ("hidden", 256), "ae": ("hidden", 512), "conv-vae": ("channels", 32), "dcgan": ("channels", 32)}
"""Models that have a width, with the option that sets it and its default."""


@dataclass(frozen=True)
class Size:
    """The extent of the measurement: multiples of the default width, images per batch, rounds, and seconds per turn."""

    models: tuple[str, ...] = tuple(WIDTHS)
    multiples: tuple[float, ...] = (0.25, 0.5, 1, 2, 4)
    batches: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512, 1024)
    rounds: int = 7
    turn_s: float = 0.3


SETTINGS = Size()
QUICK = Size(models=("vae", "ae"), multiples=(0.25, 1), batches=(8, 64), rounds=2, turn_s=0.01)

Setting = tuple[str, str, float, int]  # what grows, model, multiple of the width, batch


def measure(size: Size) -> pd.DataFrame:
    """Return one row per setting and round: images/s of one turn of the loop.

    All settings take a turn in each round, so that a drift in the machine's speed affects all alike.
    """
    settings: list[Setting] = [
        *(("width", model, multiple, workload.BATCH) for model in size.models for multiple in size.multiples),
        *(("batch", model, 1.0, batch) for model in size.models for batch in size.batches),
    ]
    made = {setting: _build(setting) for setting in settings}
    steps = {setting: _steps(work, size.turn_s) for setting, work in made.items()}
    facts = {setting: _facts(setting, work) for setting, work in made.items()}
    rows = []
    for turn in range(size.rounds):
        for setting in settings if turn % 2 else reversed(settings):
            seconds = _turn(made[setting], steps[setting])
            rows.append(facts[setting] | {"round": turn, "images_per_s": steps[setting] * setting[3] / seconds})
        print(f"training: round {turn + 1} of {size.rounds}, {len(settings)} settings", flush=True)
    return pd.DataFrame(rows)


def _build(setting: Setting) -> Workload:
    _, model, multiple, batch = setting
    option, default = WIDTHS[model]
    return workload.workload_for(f"{model}:{option}={round(default * multiple)}", SHAPE, batch)


def _steps(work: Workload, turn_s: float) -> int:
    _turn(work, 1)  # the first step allocates memory that the others reuse
    return max(1, round(turn_s / _turn(work, 2) * 2))


def _turn(work: Workload, steps: int) -> float:
    timer = workload.Timer({"wall": time.perf_counter}, work.device)
    work.train(1, steps, timer)
    return timer.windows["wall"][0]


def _facts(setting: Setting, work: Workload) -> dict[str, Any]:
    sweep, model, multiple, batch = setting
    option, default = WIDTHS[model]
    step = work.progress.step
    return {
        "sweep": sweep,
        "model": model,
        "option": option,
        "width": round(default * multiple),
        "multiple": multiple,
        "batch": batch,
        "parameters": sum(weights.numel() for weights in work.model.networks.parameters()),
        "flops_per_image": counters.count_flops(lambda: work.step(step)) / batch,
        "threads": torch.get_num_threads(),
    }
