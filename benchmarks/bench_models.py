"""Every installed model: its training step, its sampling, and what a step does: `pytest benchmarks/bench_models.py`.

A model is included by being installed. Each time comes with images/s, peak memory and the counts of
`genbench.training.counters`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from genbench.datasets.dataset import Dataset
from genbench.errors import Unsuitable
from genbench.evaluation import sampling
from genbench.plugin import finding
from genbench.regression import workload
from genbench.training import counters
from genbench.training.passes import passes

MODELS = sorted(finding.installed())
SHAPES = [*workload.SHAPES, (3, 32, 32)]
ROUND_S = 0.1
SAMPLES = 500
size = "x".join


def make(model: str, shape: tuple[int, int, int], device: torch.device, **options: Any) -> workload.Workload:
    try:
        return workload.workload_for(model, shape, device=device, **options)
    except (Unsuitable, ValueError) as refusal:
        pytest.skip(str(refusal))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: size(map(str, shape)))
@pytest.mark.parametrize("model", MODELS)
def test_training_step(
    benchmark: Any, timed: Callable[..., None], model: str, shape: tuple[int, int, int], device: torch.device
) -> None:
    counts = counters.count(make(model, shape, device).step, device)
    work = make(model, shape, device)
    timer = workload.Timer({"wall": time.perf_counter}, device)
    work.train(2, 5, timer)
    steps = max(1, round(ROUND_S / (timer.windows["wall"][-1] / 5)))
    timed(lambda: work.train(1, steps, timer), images=steps * workload.BATCH)
    benchmark.extra_info |= {name: value for name, value in counts.items() if name != "operators"}
    if shape == SHAPES[0]:
        compiled = make(model, shape, device, compile_backend="eager")
        benchmark.extra_info |= counters.count_compilation(compiled.step)


@pytest.mark.parametrize("shape", workload.SHAPES, ids=lambda shape: size(map(str, shape)))
@pytest.mark.parametrize("model", MODELS)
def test_sampling(timed: Callable[..., None], model: str, shape: tuple[int, int, int], device: torch.device) -> None:
    work = make(model, shape, device)
    split = workload.random_split(shape, SAMPLES)
    names = tuple(str(label) for label in range(workload.CLASSES))
    dataset = Dataset("random", split, split, names, "none", "none")
    sampling.prepare(work.plugin, work.model, passes(split, workload.BATCH, device))
    timed(lambda: sampling.draw(work.plugin, work.model, dataset, SAMPLES, 0, device), images=SAMPLES)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: size(map(str, shape)))
def test_batch_delivery(timed: Callable[..., None], shape: tuple[int, int, int], device: torch.device) -> None:
    """Two epochs, so that shuffling is included."""
    from genbench.training.loop import Batches

    batches = Batches(workload.random_split(shape), workload.BATCH, 0, device)
    steps = 2 * batches.per_epoch

    def deliver() -> None:
        for step in range(steps):
            batches(step)

    timed(deliver, images=steps * workload.BATCH)
