"""One cell from start to end: the only file that joins the stages."""

from __future__ import annotations

import datetime
import threading
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
    world,
)
from genbench.capture import WARM_UP_STEPS, ReplayedStep
from genbench.compilation import compile_networks
from genbench.config import Cell
from genbench.errors import PluginError
from genbench.evaluation import Evaluation
from genbench.identity import slug
from genbench.measurement import Evaluator
from genbench.model import Model
from genbench.plugins import Plugin
from genbench.record import SCHEMA, checkpoint_path, write_record
from genbench.selection import select
from genbench.training import Progress, Schedule

__all__ = ["run"]

Emit = Callable[[dict[str, Any]], None]
PICTURED = 64  # images in a grid
COUNTED = 4  # samples whose FLOPs are counted
EVENT_INTERVAL_S = 0.1


def run(payload: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
    """Run the cell that `payload` describes, write its record, and return its id.

    Args:
        payload: the `cell`, its `id`, its `description` (what its record says of it), the `distribution` of its plugin,
            the `directory` of the benchmark, the `command` that would run it again, `checkpoint_interval` in seconds or
            None, how many `jobs` run side by side and the `slot` of this one among them.
        emit: takes events: the stage, and progress within it.
    """
    return _CellRun(payload, emit).run()


class _CellRun:
    """The stages of one cell, and what they share."""

    def __init__(self, payload: Mapping[str, Any], emit: Emit) -> None:
        self.payload = payload
        self._emit = emit
        self._shown = 0.0
        self.cell = Cell.from_json(payload["cell"])
        self.settings = self.cell.settings
        self.directory = Path(payload["directory"])
        self.checkpoint_path = checkpoint_path(self.directory, payload["id"])
        self.threads_before = {thread.ident for thread in threading.enumerate() if thread.ident is not None}
        self.count: int = payload["description"]["samples"]
        self.device = environment.share(payload["description"]["device"], payload["slot"], payload["jobs"])
        self.started_at = _now()

    def run(self) -> dict[str, Any]:
        self.stage("loading")
        self.dataset = preflight.load_dataset(self.cell.dataset, self.settings)
        extractor = preflight.load_extractor(self.dataset, self.settings, self.device, self.emit)
        reference = measurement.reference_for(self.dataset, extractor, self.emit)
        self.evaluator = Evaluator(self.dataset, extractor, reference, select(self.settings.metrics))
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
            "environment": {**environment.describe(self.device), "jobs": self.payload["jobs"]},
            "failure": None,
            "started_at": self.started_at,
            "finished_at": _now(),
        }
        write_record(self.directory, record)
        self.checkpoint_path.unlink(missing_ok=True)
        return {"id": self.payload["id"]}

    def emit(self, event: dict[str, Any]) -> None:
        """Pass an event on; of progress no more than an eye can follow."""
        now = time.monotonic()
        if event["event"] == "progress":
            if now - self._shown < EVENT_INTERVAL_S:
                return
            self._shown = now
        self._emit(event)

    def stage(self, name: str) -> None:
        self.emit({"event": "stage", "stage": name})

    def control(self) -> dict[str, Any]:
        """Draw from a control and measure; nothing is trained."""
        self.stage("sampling")
        generator = seeding.generator(self.cell.seed, "control", self.cell.model.name)
        images = controls.draw(self.cell.model.name, self.dataset, self.count, generator)
        self.stage("measuring")
        begin = time.perf_counter()
        numbers = self.evaluator.score(images, None, samples_held_out=self.cell.model.name == "real")
        return {
            "numbers": {name: number.to_json() for name, number in numbers.items()},
            "cost": {"evaluation_s": time.perf_counter() - begin, **cost.peak_memory(self.device)},
            "curve": [],
            "artifacts": self.picture(images, None),
        }

    def model(self) -> dict[str, Any]:
        """Build, train, sample and measure."""
        self.stage("building")
        before = world.snapshot()
        plugin = plugins.load(plugins.find(self.cell.model, [self.payload["distribution"]]))
        # Libraries set variables of their own while they are imported: those are not held against a plugin.
        before["the environment"] = world.snapshot()["the environment"]
        flops = self.count_flops(plugin)
        model, progress = self.begin(plugin)
        self.check_world(plugin, before)
        if self.settings.compile:
            compile_networks(model)
        evaluation = Evaluation(
            plugin, model, self.dataset, self.evaluator, self.device, self.cell.seed, self.count, self.emit
        )
        cost.reset_peak_memory(self.device)
        self.train(plugin, model, progress, evaluation, flops["train"])
        self.check_world(plugin, before, "train")
        self.stage("measuring")
        final = evaluation.final()
        self.check_world(plugin, before, "train")
        self.check_leftovers(plugin)
        on_curve = progress.rows[0].numbers
        progress.rows[-1].numbers = {name: value.value for name, value in final.numbers.items() if name in on_curve}
        return {
            "numbers": {name: number.to_json() for name, number in final.numbers.items()},
            "cost": self.costs(model, progress, evaluation, flops),
            "curve": [dict(vars(row)) for row in progress.rows],
            "artifacts": self.picture(final.samples, final.reconstructions),
        }

    def check_world(self, plugin: Plugin, before: dict[str, Any], seeded: str | None = None) -> None:
        """Raise `PluginError` if the plugin has changed what it shares with genbench, or seeded its generators anew."""
        changed = world.changes(before, world.snapshot())
        if seeded is not None and torch.initial_seed() != seeding.derive(self.cell.seed, seeded):
            changed.append("the seed of torch's global generator")
        if changed:
            raise PluginError(f"{plugin}: changed {'; '.join(changed)}; what a hook changes it must put back")

    def check_leftovers(self, plugin: Plugin) -> None:
        """Raise `PluginError` if the plugin has left threads or processes running."""
        found = world.leftovers(self.threads_before, self.settings.compile)
        if found:
            raise PluginError(f"{plugin}: left {', '.join(found)} running; end what you start before the hook returns")

    def begin(self, plugin: Plugin) -> tuple[Model, Progress]:
        """Build the model and seed its training, or take both up where the last checkpoint left them."""
        model = self.build(plugin)
        seeding.seed_global(self.cell.seed, "train")
        if not self.checkpoint_path.exists():
            return model, Progress()
        try:
            return model, Progress.from_json(checkpoint.restore(self.checkpoint_path, model, self.device))
        except checkpoint.CheckpointError as error:
            self.notice(f"{error}; training begins anew")
            self.checkpoint_path.unlink()
            return self.begin(plugin)

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

    def train(
        self, plugin: Plugin, model: Model, progress: Progress, evaluation: Evaluation, flops_per_step: int
    ) -> None:
        """Train to the end of the budget."""
        settings = self.settings
        steps = settings.budget.steps(settings.batch_size, flops_per_step)
        schedule = Schedule(steps, None if steps is not None else settings.budget.amount, settings.evaluations)
        autosave = checkpoint.Autosave(
            self.checkpoint_path, model, self.payload["checkpoint_interval"], time.monotonic, self.notice
        )

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
            step=self.replayed_step(plugin, model),
            evaluate=evaluate,
            after_window=self.after_window(autosave, schedule),
        )
        if autosave.is_worth_it():
            autosave.save(progress.to_json())  # the last evaluation may take long, and may fail

    def replayed_step(self, plugin: Plugin, model: Model) -> ReplayedStep | None:
        """Return what replays the model's steps from a CUDA graph; None where it is not asked for or not allowed."""
        if self.settings.cuda_graph and not model.capturable:
            self.notice(f"{plugin}: does not declare its steps capturable, so they run without a CUDA graph")
        if not self.replays(model):
            return None
        return ReplayedStep(plugin, plugin.hook.train_step, model, self.device)

    def replays(self, model: Model) -> bool:
        return self.settings.cuda_graph and model.capturable

    def notice(self, text: str) -> None:
        self.emit({"event": "notice", "text": text})

    def after_window(self, autosave: checkpoint.Autosave, schedule: Schedule) -> Callable[[Progress], None]:
        """Return what happens between windows: it is told, and saved every so often."""

        def after(progress: Progress) -> None:
            self.emit(_training_event(progress, schedule))
            if autosave.is_due():
                autosave.save(progress.to_json())

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
            "replayed": self.replays(model) and progress.step > WARM_UP_STEPS,
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
