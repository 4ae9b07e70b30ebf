"""One cell from start to end: the only file that joins the stages."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from genbench import (
    checkpoint,
    controls,
    cost,
    environment,
    measurement,
    options,
    pictures,
    plugins,
    preflight,
    sampling,
    seeding,
    training,
)
from genbench.config import Cell
from genbench.datasets.dataset import Dataset
from genbench.errors import PluginError
from genbench.identity import slug
from genbench.measurement import Evaluator, Number
from genbench.model import Model
from genbench.plugins import Plugin
from genbench.record import SCHEMA, write_record
from genbench.training import Progress, Schedule

__all__ = ["run"]

Emit = Callable[[dict[str, Any]], None]
PICTURED = 64  # images in a grid
EVENT_INTERVAL_S = 0.1
CHECKPOINT_INTERVAL_S = 30.0
CHECKPOINT_SHARE = 0.01  # of the training time, at most
SAMPLING_S = 0.5  # how long sampling is timed beyond the images that quality needs


def run(payload: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
    """Run the cell that `payload` describes, write its record under `payload["directory"]`, and return its id.

    `payload` has the cell, its `id`, its `description` (what its record says of it), the `directory` and the
    `command` that would run it again.
    """
    return _CellRun(payload, emit).run()


class _CellRun:
    """The stages of one cell, and what they share."""

    def __init__(self, payload: Mapping[str, Any], emit: Emit) -> None:
        self.payload = payload
        self.emit = emit
        self.cell = Cell.from_json(payload["cell"])
        self.settings = self.cell.settings
        self.directory = Path(payload["directory"])
        self.samples: int = payload["description"]["samples"]
        self.device = environment.choose_device(payload["description"]["device"])
        self.started_at = _now()
        self.evaluation_s = 0.0
        self.before_sampling_s = 0.0

    def run(self) -> dict[str, Any]:
        self.stage("loading")
        self.dataset = preflight.load_dataset(self.cell.dataset, self.settings)
        extractor = preflight.load_extractor(self.dataset, self.settings, self.device, self.emit)
        reference = measurement.reference_for(self.dataset, extractor, self.emit)
        self.evaluator = Evaluator(self.dataset, extractor, reference)
        outcome = self.control() if self.cell.is_control else self.model()
        self.stage("recording")
        write_record(
            self.directory,
            {
                "schema": SCHEMA,
                "id": self.payload["id"],
                "status": "finished",
                "cell": self.payload["description"],
                "command": self.payload["command"],
                **outcome,
                "recipes": self.evaluator.recipes,
                "environment": environment.describe(self.device),
                "failure": None,
                "started_at": self.started_at,
                "finished_at": _now(),
            },
        )
        self.checkpoint_path.unlink(missing_ok=True)
        return {"id": self.payload["id"]}

    def stage(self, name: str) -> None:
        self.emit({"event": "stage", "stage": name})

    @property
    def checkpoint_path(self) -> Path:
        return self.directory / "checkpoints" / f"{self.payload['id']}.pt"

    def control(self) -> dict[str, Any]:
        """Draw from a control and measure; nothing is trained."""
        self.stage("sampling")
        generator = seeding.generator(self.cell.seed, "control", self.cell.model.name)
        images = controls.draw(self.cell.model.name, self.dataset, self.samples, generator)
        self.stage("measuring")
        begin = time.perf_counter()
        # A control knows its labels, but it is no conditional model.
        numbers = self.evaluator.score(images, None)
        return {
            "numbers": _plain(numbers),
            "cost": {"evaluation_s": time.perf_counter() - begin, **cost.peak_memory(self.device)},
            "curve": [],
            "artifacts": self.picture(images, None),
        }

    def model(self) -> dict[str, Any]:
        """Build, train, sample and measure."""
        self.stage("building")
        plugin = plugins.load(plugins.find(self.cell.model))
        flops = self.count_flops(plugin)
        model = self.build(plugin)
        if self.settings.compile:
            for network in model.networks.values():
                network.compile()
        seeding.seed_global(self.cell.seed, "train")
        steps = self.settings.budget.steps(self.settings.batch_size, flops["train"])
        seconds = None if steps is not None else self.settings.budget.amount
        progress = self.train(plugin, model, Schedule(steps, seconds, self.settings.evaluations), flops["train"])
        return self.measure(plugin, model, progress, flops)

    def build(self, plugin: Plugin) -> Model:
        seeding.seed_global(self.cell.seed, "build")
        model = options.build(
            plugin, self.dataset.image_shape, self.dataset.classes, self.cell.model.options, self.device
        )
        if not isinstance(model, Model):
            raise PluginError(f"{plugin}: build_model returned {type(model).__name__}, expected a genbench.Model")
        return model

    def count_flops(self, plugin: Plugin) -> dict[str, int]:
        """Count the FLOPs of one training step and of one sampled image, on a model that is then thrown away."""
        model = self.build(plugin)
        images, labels = self.batches()(0)
        model.networks.train()
        train = cost.count_flops(lambda: plugin.hook.train_step(model=model, images=images, labels=labels, step=0))
        model.networks.eval()
        count = 4
        asked = None if labels is None else labels[:1].expand(count)
        generator = seeding.generator(0, "count", device=self.device)
        with torch.no_grad():
            sample = cost.count_flops(
                lambda: plugin.hook.sample(model=model, count=count, labels=asked, generator=generator)
            )
        return {"train": train, "sample": sample // count}

    def batches(self) -> training.Batches:
        return training.Batches(self.dataset.train, self.settings.batch_size, self.cell.seed, self.device)

    def train(self, plugin: Plugin, model: Model, schedule: Schedule, flops_per_step: int) -> Progress:
        """Train to the end of the budget, from the last checkpoint where there is one."""
        progress = Progress()
        if self.checkpoint_path.exists():
            progress = Progress.from_json(checkpoint.restore(self.checkpoint_path, model, self.device))
        self.stage("training")
        last = {"event": 0.0, "saved": time.monotonic(), "save_s": 0.0}

        def evaluate(progress: Progress) -> dict[str, float]:
            self.stage("evaluating")
            numbers = self.evaluate(plugin, model, curve=True)[0]
            self.stage("training")
            return {name: number.value for name, number in numbers.items()}

        def after_window(progress: Progress) -> None:
            now = time.monotonic()
            if now - last["event"] >= EVENT_INTERVAL_S or schedule.fraction(progress) >= 1:
                last["event"] = now
                self.emit(_training_event(progress, schedule, self.settings.batch_size))
            since = now - last["saved"]
            if since > CHECKPOINT_INTERVAL_S and since * CHECKPOINT_SHARE > last["save_s"]:
                checkpoint.save(self.checkpoint_path, model, progress.to_json())
                last["saved"] = time.monotonic()
                last["save_s"] = last["saved"] - now

        training.train(
            plugin,
            model,
            self.batches(),
            schedule,
            progress,
            clock=cost.clock(self.device),
            flops_per_step=flops_per_step,
            precision=self.settings.precision,
            evaluate=evaluate,
            after_window=after_window,
        )
        return progress

    def evaluate(
        self, plugin: Plugin, model: Model, *, curve: bool, **more: Any
    ) -> tuple[dict[str, Number], torch.Tensor, list[tuple[int, float]]]:
        """Sample and measure, off the clock and without a trace in the generators that training draws from.

        Returns the numbers, the images, and the (images, seconds) windows of sampling.
        """
        begin = time.perf_counter()
        random_state = checkpoint.random_state()
        read = cost.clock(self.device)
        fitted = read()
        sampling.prepare(plugin, model, sampling.passes(self.dataset.train, sampling.BATCH, self.device))
        self.before_sampling_s = read() - fitted
        windows: list[tuple[int, float]] = []
        last = read()

        def after_batch(count: int) -> None:
            nonlocal last
            windows.append((count, -last + (last := read())))
            self.emit({"event": "progress", "stage": "sampling", "done": len(windows), "total": -(-self.samples // sampling.BATCH)})

        images, labels = sampling.draw(
            plugin, model, self.dataset, self.samples, self.cell.seed, self.device, after_batch
        )
        conditional = plugin.implements("sample", "labels")
        numbers = self.evaluator.score(images, labels if conditional else None, curve=curve, **more)
        checkpoint.restore_random_state(random_state)
        self.evaluation_s += time.perf_counter() - begin
        return numbers, images, windows

    def measure(self, plugin: Plugin, model: Model, progress: Progress, flops: Mapping[str, int]) -> dict[str, Any]:
        """Take every number that stands at the end of the budget."""
        memory = cost.peak_memory(self.device)
        self.stage("measuring")
        restored = self.reconstruct(plugin, model)
        more = {"reconstructions": restored, "log_likelihoods": self.likelihood(plugin, model)}
        if restored is not None:
            more["originals"] = self.dataset.held_out.images
        numbers, images, windows = self.evaluate(plugin, model, curve=False, **more)
        on_curve = progress.rows[0].numbers
        progress.rows[-1].numbers = {name: number.value for name, number in numbers.items() if name in on_curve}
        windows += self.time_sampling(plugin, model, sum(seconds for _, seconds in windows))
        memory["peak_resident_bytes"] = cost.peak_memory(self.device)["peak_resident_bytes"]
        return {
            "numbers": _plain(numbers),
            "cost": {
                "train_images_per_s": _throughput(progress.windows),
                "sample_images_per_s": _throughput(windows),
                "parameters": model.parameter_count(),
                "train_flops_per_image": flops["train"] / self.settings.batch_size,
                "sample_flops_per_image": flops["sample"],
                "steps": progress.step,
                "images": progress.step * self.settings.batch_size,
                "train_s": progress.elapsed_s,
                "before_sampling_s": self.before_sampling_s,
                "evaluation_s": self.evaluation_s,
                **memory,
            },
            "curve": [row.__dict__ for row in progress.rows],
            "artifacts": self.picture(images, restored),
        }

    def time_sampling(self, plugin: Plugin, model: Model, spent_s: float) -> list[tuple[int, float]]:
        """Sample on where drawing was over too soon to time, and return the windows."""
        windows: list[tuple[int, float]] = []
        while spent_s < SAMPLING_S:
            read = cost.clock(self.device)
            begin = read()
            sampling.draw(plugin, model, self.dataset, sampling.BATCH, self.cell.seed, self.device)
            windows.append((sampling.BATCH, read() - begin))
            spent_s += windows[-1][1]
        return windows

    def reconstruct(self, plugin: Plugin, model: Model) -> torch.Tensor | None:
        """Restore the held-out images, where the plugin can: (N, C, H, W) uint8."""
        if not plugin.implements("reconstruct"):
            return None
        model.networks.eval()
        parts = []
        with torch.no_grad():
            for images, _ in sampling.passes(self.dataset.held_out, sampling.BATCH, self.device):
                restored = plugin.hook.reconstruct(model=model, images=images)
                sampling.check(plugin, "reconstruct", restored, tuple(images.shape))
                parts.append(sampling.to_uint8(restored).cpu())
        return torch.cat(parts)

    def likelihood(self, plugin: Plugin, model: Model) -> torch.Tensor | None:
        """Bound the log-likelihood of the held-out images, where the plugin can: (N,) nats."""
        if not plugin.implements("log_likelihood"):
            return None
        model.networks.eval()
        generator = seeding.generator(self.cell.seed, "log_likelihood", device=self.device)
        parts = []
        with torch.no_grad():
            for images, _ in sampling.passes(self.dataset.held_out, sampling.BATCH, self.device):
                nats = plugin.hook.log_likelihood(model=model, images=images, generator=generator)
                if not isinstance(nats, torch.Tensor) or tuple(nats.shape) != (len(images),):
                    found = tuple(nats.shape) if isinstance(nats, torch.Tensor) else type(nats).__name__
                    raise PluginError(f"{plugin}: log_likelihood returned {found}, expected {(len(images),)}")
                parts.append(nats.cpu().double())
        return torch.cat(parts)

    def picture(self, images: torch.Tensor, restored: torch.Tensor | None) -> dict[str, str]:
        """Write the grids, and return their paths relative to the directory."""
        stem = slug(f"{self.cell.model.label}-{self.cell.dataset}-seed{self.cell.seed}")
        stem = f"{stem}-{self.payload['id'][:6]}"  # cells of other budgets and sources may share the folder
        shown = len(images) if self.dataset.image_shape == (2, 1, 1) else PICTURED
        paths = {"samples": f"samples/{stem}.png"}
        pictures.save_grid(self.directory / paths["samples"], images[:shown])
        paths["reference"] = f"samples/{slug(self.cell.dataset)}-{self.dataset.fingerprint[:6]}-reference.png"
        pictures.save_grid(self.directory / paths["reference"], self.dataset.train.images[:shown])
        if restored is not None:
            paths["reconstructions"] = f"samples/{stem}-reconstructions.png"
            pairs = torch.stack([self.dataset.held_out.images[:32], restored[:32]], 1).flatten(0, 1)
            pictures.save_grid(self.directory / paths["reconstructions"], pairs)
        return paths


def _plain(numbers: Mapping[str, Number]) -> dict[str, Any]:
    return {name: number.to_json() for name, number in numbers.items()}


def _throughput(windows: list[tuple[int, float]]) -> dict[str, Any] | None:
    result = cost.throughput(windows)
    return result.to_json() if result else None


def _training_event(progress: Progress, schedule: Schedule, batch_size: int) -> dict[str, Any]:
    images, seconds = progress.windows[-1]
    fraction = schedule.fraction(progress)
    return {
        "event": "progress",
        "stage": "training",
        "done": progress.step,
        "total": schedule.steps or round(progress.step / max(fraction, 1e-9)),
        "losses": progress.rows[-1].losses,
        "images_per_s": images / max(seconds, 1e-9),
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
