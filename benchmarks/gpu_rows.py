"""The measurements of `gpu_table.py`, one row of its table each."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bare_loop import Loop, build
from random_weights import write_random_weights
from torch import Tensor

from genbench import features, seeding
from genbench.config import ModelSpec
from genbench.datasets.dataset import Dataset, Split
from genbench.evaluation import measurement
from genbench.evaluation.references import reference_for
from genbench.evaluation.selection import select
from genbench.features.extractor import Extractor, extract
from genbench.plugin import finding, loading
from genbench.regression import workload
from genbench.training import cost, counters, loop
from genbench.training.capture import ReplayedStep
from genbench.training.compilation import compile_networks

__all__ = ["MODES", "QUICK", "Sizes", "evaluation_rows", "training_rows"]

MODELS = ("gan", "dcgan", "conv-vae")
WARM_UP = 5  # steps before one is counted


@dataclass(frozen=True)
class Mode:
    """How steps run; compiled and replayed ones in fp32."""

    precision: str = "fp32"
    compiled: bool = False
    graph: bool = False


MODES = {"fp32": Mode(), "tf32": Mode("tf32"), "bf16": Mode("bf16")}
MODES |= {"compile": Mode(compiled=True), "cuda-graph": Mode(graph=True)}


@dataclass(frozen=True)
class Sizes:
    """The extent of the measurement."""

    models: tuple[str, ...] = MODELS
    sides: tuple[int, ...] = (32, 64)
    batch: int = 64
    steps: int = 200
    turns: int = 7
    images: int = 4096
    samples: int = 50_000
    extractor: str = "inception"
    metrics: tuple[str, ...] = ()  # the default ones
    backend: str = "inductor"


QUICK = Sizes(MODELS, (8,), 4, 6, 1, 16, 64, "random-conv", backend="eager")


class Trained:
    """A model built for one mode, and one of the two loops over it."""

    def __init__(self, name: str, side: int, mode: Mode, sizes: Sizes, device: torch.device) -> None:
        spec = ModelSpec.parse(name)
        self.mode, self.sizes, self.device = mode, sizes, device
        self.split = workload.random_split((3, side, side), max(sizes.images, sizes.batch))
        self.plugin = loading.load(finding.find(spec))
        self.model = build(self.plugin, torch.Size((3, side, side)), device, spec.options)
        if mode.compiled:
            compile_networks(self.model, sizes.backend)
        hook = self.plugin.hook.train_step
        self.step = ReplayedStep(self.plugin, hook, self.model, device) if mode.graph else None
        self._loop = Loop(self.plugin, self.model, self.split, sizes.batch, sizes.steps, device, self.step)

    def harness(self) -> float:
        return self._loop.turn(lambda: self._loop.harness(self.mode.precision)).rate

    def bare(self) -> float:
        with loop.in_precision(self.mode.precision, self.device):
            return self._loop.turn(self._loop.bare).rate

    def launches(self) -> tuple[int | None, int | None]:
        """Return kernels launched and host synchronisations of one step with its batch."""
        batches = loop.Batches(self.split, self.sizes.batch, 0, self.device)
        hook = self.step or self.plugin.hook.train_step
        self.model.networks.train()

        def step(number: int) -> None:
            images, labels = batches(number)
            hook(model=self.model, batch=images, labels=labels, step=number)

        with loop.in_precision(self.mode.precision, self.device):
            for number in range(WARM_UP):
                step(number)
            return counters.launches(lambda: step(WARM_UP), self.device)


def in_turn(loops: dict[Any, Callable[[], float]], turns: int) -> dict[Any, list[float]]:
    """Alternate all loops, in reversed order every other time, and return the rates of all turns except the first."""
    rates: dict[Any, list[float]] = {key: [] for key in loops}
    for turn in range(turns + 1):
        for key in list(loops)[:: -1 if turn % 2 else 1]:
            rate = loops[key]()
            if turn:
                rates[key].append(rate)
    return rates


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    return {name: statistics.median(values), f"{name}_least": min(values), f"{name}_most": max(values)}


def training_rows(
    name: str, side: int, modes: dict[str, Mode], sizes: Sizes, device: torch.device
) -> list[dict[str, Any]]:
    """Measure one model on images of one size: rates alternating, then each mode on its own for memory and launches."""
    loops: dict[Any, Callable[[], float]] = {}
    for key, mode in modes.items():
        loops[key, "harness"] = Trained(name, side, mode, sizes, device).harness
        loops[key, "bare"] = Trained(name, side, mode, sizes, device).bare
    rates = in_turn(loops, sizes.turns)
    del loops
    rows = []
    for key, mode in modes.items():
        shares = [a / b for a, b in zip(rates[key, "harness"], rates[key, "bare"], strict=True)]
        gc.collect()
        torch._dynamo.reset()  # compiled code keeps its models alive
        cost.reset_peak_memory(device)
        alone = Trained(name, side, mode, sizes, device)
        alone.harness()
        peak = cost.peak_memory(device)["peak_allocated_bytes"]
        kernels, waits = alone.launches()
        rows.append(
            {
                "what": name,
                "image": f"{side}×{side}×3",
                "mode": key,
                **spread("images_per_s", rates[key, "harness"]),
                **spread("share_of_bare", shares),
                "peak_allocated_bytes": peak,
                "kernels_per_step": kernels,
                "synchronisations_per_step": waits,
            }
        )
        print(rows[-1], flush=True)
    return rows


def evaluation_rows(sizes: Sizes, device: torch.device, folder: Path) -> list[dict[str, Any]]:
    """Measure extraction in both precisions, alternating, then the metrics over samples, extraction included."""
    weights = write_random_weights(folder / "random.pth") if sizes.extractor == "inception" else None
    train, held_out, samples = (
        torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=seeding.generator(number, "noise"))
        for number, count in enumerate((sizes.samples, max(64, sizes.samples // 5), sizes.samples))
    )
    dataset = Dataset("random", Split(train, None), Split(held_out, None), None, "none", "none")
    extractors = {
        precision: features.load(sizes.extractor, dataset=dataset, device=device, weights=weights, precision=precision)
        for precision in ("fp32", "bf16")
    }
    images = train[: sizes.images]

    def extraction(extractor: Extractor) -> Callable[[], float]:
        def rate() -> float:
            begin = time.perf_counter()
            extract(extractor, images)  # returns features on the host, so everything is done
            return len(images) / (time.perf_counter() - begin)

        return rate

    about = {"what": f"extraction, {sizes.extractor}", "image": "32×32×3"}
    rates = in_turn({precision: extraction(extractor) for precision, extractor in extractors.items()}, sizes.turns)
    rows = [{**about, "mode": precision, **spread("images_per_s", rates[precision])} for precision in rates]
    for precision, extractor in extractors.items():
        for part, seconds in suite_seconds(dataset, extractor, samples, sizes).items():
            rows.append({**about, "what": f"{part}, {sizes.samples:,}", "mode": precision, "seconds": seconds})
    print(*rows, sep="\n", flush=True)
    return rows


def suite_seconds(dataset: Dataset, extractor: Extractor, samples: Tensor, sizes: Sizes) -> dict[str, float]:
    """Return the seconds of the data's features, and of the metrics for a first model and for one that reuses those."""
    begin = time.perf_counter()
    reference = reference_for(dataset, extractor)
    seconds = {"the data's features": time.perf_counter() - begin}
    evaluator = measurement.Evaluator(dataset, extractor, reference, select(sizes.metrics, dataset.kind.name))
    for model in ("first", "next"):
        begin = time.perf_counter()
        evaluator.score(samples, None)
        seconds[f"suite, {model} model"] = time.perf_counter() - begin
    return seconds
