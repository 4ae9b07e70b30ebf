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
from genbench.errors import PluginError
from genbench.evaluation import Evaluation
from genbench.identity import slug
from genbench.measurement import Evaluator
from genbench.model import Model
from genbench.plugins import Plugin
from genbench.record import SCHEMA, write_record
from genbench.training import Progress, Schedule

__all__ = ["run"]

Emit = Callable[[dict[str, Any]], None]
PICTURED = 64  # images in a grid
COUNTED = 4  # samples whose FLOPs are counted
EVENT_INTERVAL_S = 0.1
CHECKPOINT_INTERVAL_S = 30.0
CHECKPOINT_SHARE = 0.01  # of the time since the last one, at most


def run(payload: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
    """Run the cell that `payload` describes, write its record, and return its id.

    Args:
        payload: the `cell`, its `id`, its `description` (what its record says of it), the `directory` of the benchmark,
            and the `command` that would run it again.
        emit: takes events: the stage, and progress within it.
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
        self.checkpoint_path = self.directory / "checkpoints" / f"{payload['id']}.pt"
        self.count: int = payload["description"]["samples"]
        self.device = environment.choose_device(payload["description"]["device"])
        self.started_at = _now()

    def run(self) -> dict[str, Any]:
        self.stage("loading")
        self.dataset = preflight.load_dataset(self.cell.dataset, self.settings)
        extractor = preflight.load_extractor(self.dataset, self.settings, self.device, self.emit)
        reference = measurement.reference_for(self.dataset, extractor, self.emit)
        self.evaluator = Evaluator(self.dataset, extractor, reference)
        outcome = self.control() if self.cell.is_control else self.model()
        self.stage("recording")
        record = {
            "schema": SCHEMA,
            "id": self.payload["id"],
            "status": "finished",
            "cell": self.payload["description"],
            "command": self.payload["command"],
            **outcome,
            "recipes": self.evaluator.recipes,
            "not_measured": self.evaluator.missing,
            "environment": environment.describe(self.device),
            "failure": None,
            "started_at": self.started_at,
            "finished_at": _now(),
        }
        write_record(self.directory, record)
        self.checkpoint_path.unlink(missing_ok=True)
        return {"id": self.payload["id"]}

    def stage(self, name: str) -> None:
        self.emit({"event": "stage", "stage": name})

    def control(self) -> dict[str, Any]:
        """Draw from a control and measure; nothing is trained."""
        self.stage("sampling")
        generator = seeding.generator(self.cell.seed, "control", self.cell.model.name)
        images = controls.draw(self.cell.model.name, self.dataset, self.count, generator)
        self.stage("measuring")
        begin = time.perf_counter()
        numbers = self.evaluator.score(images, None)
        return {
            "numbers": {name: number.to_json() for name, number in numbers.items()},
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
        evaluation = Evaluation(
            plugin, model, self.dataset, self.evaluator, self.device, self.cell.seed, self.count, self.emit
        )
        seeding.seed_global(self.cell.seed, "train")
        cost.reset_peak_memory(self.device)
        progress = self.train(plugin, model, evaluation, flops["train"])
        self.stage("measuring")
        final = evaluation.final()
        on_curve = progress.rows[0].numbers
        progress.rows[-1].numbers = {name: value.value for name, value in final.numbers.items() if name in on_curve}
        return {
            "numbers": {name: number.to_json() for name, number in final.numbers.items()},
            "cost": self.costs(model, progress, evaluation, flops),
            "curve": [dict(vars(row)) for row in progress.rows],
            "artifacts": self.picture(final.samples, final.reconstructions),
        }

    def build(self, plugin: Plugin) -> Model:
        seeding.seed_global(self.cell.seed, "build")
        shape, classes = self.dataset.image_shape, self.dataset.classes
        model = options.build(plugin, shape, classes, self.cell.model.options, self.device)
        if not isinstance(model, Model):
            raise PluginError(f"{plugin}: build_model returned {type(model).__name__}, expected a genbench.Model")
        return model

    def batches(self) -> training.Batches:
        return training.Batches(self.dataset.train, self.settings.batch_size, self.cell.seed, self.device)

    def count_flops(self, plugin: Plugin) -> dict[str, int]:
        """Count the FLOPs of a training step and of a sampled image, on a model that is then thrown away."""
        model = self.build(plugin)
        images, labels = self.batches()(0)
        model.networks.train()
        train = cost.count_flops(lambda: plugin.hook.train_step(model=model, images=images, labels=labels, step=0))
        model.networks.eval()
        asked = None if labels is None else labels[:1].expand(COUNTED)
        generator = seeding.generator(0, "count", device=self.device)
        with torch.no_grad():
            sample = cost.count_flops(
                lambda: plugin.hook.sample(model=model, count=COUNTED, labels=asked, generator=generator)
            )
        return {"train": train, "sample": sample // COUNTED}

    def train(self, plugin: Plugin, model: Model, evaluation: Evaluation, flops_per_step: int) -> Progress:
        """Train to the end of the budget, from the last checkpoint where there is one."""
        settings = self.settings
        steps = settings.budget.steps(settings.batch_size, flops_per_step)
        schedule = Schedule(steps, None if steps is not None else settings.budget.amount, settings.evaluations)
        progress = Progress()
        if self.checkpoint_path.exists():
            progress = Progress.from_json(checkpoint.restore(self.checkpoint_path, model, self.device))

        def evaluate(progress: Progress) -> dict[str, float]:
            self.stage("evaluating")
            numbers = evaluation.curve_point()
            self.stage("training")
            return numbers

        self.stage("training")
        training.train(
            plugin,
            model,
            self.batches(),
            schedule,
            progress,
            clock=cost.clock(self.device),
            flops_per_step=flops_per_step,
            precision=settings.precision,
            evaluate=evaluate,
            after_window=self.after_window(model, schedule),
        )
        return progress

    def after_window(self, model: Model, schedule: Schedule) -> Callable[[Progress], None]:
        """Return what happens between windows: an event every so often, and a checkpoint more rarely."""
        shown = 0.0
        saved = time.monotonic()
        save_s = 0.0

        def after(progress: Progress) -> None:
            nonlocal shown, saved, save_s
            now = time.monotonic()
            if now - shown >= EVENT_INTERVAL_S or schedule.fraction(progress) >= 1:
                shown = now
                self.emit(_training_event(progress, schedule))
            if now - saved > CHECKPOINT_INTERVAL_S and (now - saved) * CHECKPOINT_SHARE > save_s:
                checkpoint.save(self.checkpoint_path, model, progress.to_json())
                saved = time.monotonic()
                save_s = saved - now

        return after

    def costs(
        self, model: Model, progress: Progress, evaluation: Evaluation, flops: Mapping[str, int]
    ) -> dict[str, Any]:
        batch_size = self.settings.batch_size
        trained, sampled = cost.throughput(progress.windows), cost.throughput(evaluation.windows)
        return {
            "train_images_per_s": trained and trained.to_json(),
            "sample_images_per_s": sampled and sampled.to_json(),
            "sample_batch_size": sampling.BATCH,
            "parameters": model.parameter_count(),
            "train_flops_per_image": flops["train"] / batch_size,
            "sample_flops_per_image": flops["sample"],
            "steps": progress.step,
            "images": progress.step * batch_size,
            "train_s": progress.elapsed_s,
            "before_sampling_s": evaluation.before_sampling_s,
            "evaluation_s": evaluation.seconds,
            **cost.peak_memory(self.device),
        }

    def picture(self, images: torch.Tensor, restored: torch.Tensor | None) -> dict[str, str]:
        """Write the grids, and return their paths relative to the directory."""
        name = slug(f"{self.cell.model.label}-{self.cell.dataset}-seed{self.cell.seed}")
        stem = f"samples/{name}-{self.payload['id'][:6]}"  # cells of other budgets and sources may share the folder
        data = f"samples/{slug(self.cell.dataset)}-{self.dataset.fingerprint[:6]}-reference.png"
        paths = {"samples": f"{stem}.png", "reference": data}
        shown = len(images) if self.dataset.image_shape == (2, 1, 1) else PICTURED
        pictures.save_grid(self.directory / paths["samples"], images[:shown])
        pictures.save_grid(self.directory / paths["reference"], self.dataset.train.images[:shown])
        if restored is not None:
            paths["reconstructions"] = f"{stem}-reconstructions.png"
            half = PICTURED // 2
            pairs = torch.stack([self.dataset.held_out.images[:half], restored[:half]], 1).flatten(0, 1)
            pictures.save_grid(self.directory / paths["reconstructions"], pairs)
        return paths


def _training_event(progress: Progress, schedule: Schedule) -> dict[str, Any]:
    images, seconds = progress.windows[-1]
    return {
        "event": "progress",
        "stage": "training",
        "done": progress.step,
        "total": schedule.steps or round(progress.step / max(schedule.fraction(progress), 1e-9)),
        "losses": progress.rows[-1].losses,
        "images_per_s": images / max(seconds, 1e-9),
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
