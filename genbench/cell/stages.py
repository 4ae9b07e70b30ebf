"""The stages of one cell, from its data to its record."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench import seeding
from genbench.cell import preflight
from genbench.cell.artifacts import save_artifacts
from genbench.cell.events import Emit, Events
from genbench.cell.follower import follow
from genbench.cell.ranks import Ranks
from genbench.cell.source import SourceWatch
from genbench.cell.training import CellTraining
from genbench.config import Cell
from genbench.errors import PluginError, Unsuitable
from genbench.evaluation import controls, references, sampling
from genbench.evaluation.measurement import Evaluator
from genbench.evaluation.selection import select
from genbench.evaluation.stopwatch import Stopwatch
from genbench.evaluation.trained import Evaluation
from genbench.machine import environment
from genbench.machine.contention import NOTICEABLE, Contention
from genbench.plugin import finding, loading, options, world
from genbench.plugin.guarding import refuse_changes
from genbench.plugin.leftovers import Others
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.records.record import checkpoint_path, not_applicable, write_record
from genbench.records.schemas import SCHEMA
from genbench.training import cost
from genbench.training.compilation import compile_networks
from genbench.training.flops import Flops
from genbench.training.loop import Progress

__all__ = ["run"]


def run(payload: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
    """Run the cell that `payload` describes, write its record, and return its id.

    Args:
        payload: the `cell`, its `id`, its `description` (the cell in its record), the `distribution` of its plugin,
            the `directory` of the benchmark, the `command` that would run it again, `checkpoint_interval` in seconds or
            None, `grace`, the seconds that a request to end waits for a checkpoint, the number of `jobs` that run side
            by side, the `slot` of this one among them, and whether its curve is `observed` during training.
        emit: receives events: the stage, and progress within it.
    """
    cell = Cell.from_json(payload["cell"])
    if cell.settings.ranks == 1 or cell.is_control:
        return _CellRun(payload, emit).run()
    with Ranks(cell.settings.ranks, partial(follow, payload), emit) as ranks:
        return _CellRun(payload, emit, ranks).run()


class _CellRun:
    """The stages of one cell, and their shared state."""

    def __init__(self, payload: Mapping[str, Any], emit: Emit, ranks: Ranks | None = None) -> None:
        self.ranks = ranks
        self.payload = payload
        self.events = Events(emit)
        self.cell = Cell.from_json(payload["cell"])
        self.settings = self.cell.settings
        self.directory = Path(payload["directory"])
        self.checkpoint_path = checkpoint_path(self.directory, payload["id"])
        self.count: int = payload["description"]["samples"]
        size = 1 if ranks is None else ranks.size
        slot, jobs = payload["slot"] * size, payload["jobs"] * size
        self.device = environment.share(payload["description"]["device"], slot, jobs)
        self.started_at = _now()

    def run(self) -> dict[str, Any]:
        self.events.stage("loading")
        allowed = self.payload.get("plugins_from")
        self.dataset = preflight.load_dataset(self.cell.dataset, self.settings, allowed)
        extractor = preflight.load_extractor(self.dataset, self.settings, self.device, self.events, allowed)
        reference = references.reference_for(self.dataset, extractor, self.events)
        metrics = select(self.settings.metrics, self.dataset.kind.name, allowed)
        preflight.check_unchanged(self.payload["description"], self.dataset, extractor, metrics)
        self.evaluator = Evaluator(self.dataset, extractor, reference, metrics)
        if self.ranks is not None:
            self.evaluator.extract = self.ranks.extract
        self.evaluator.watch = self.watch = Stopwatch(time.perf_counter, self.tell_metric)
        cell_id, description, command = (self.payload[name] for name in ("id", "description", "command"))
        try:
            with world.imports_put_back():
                outcome = self.control() if self.cell.is_control else self.model()
        except Unsuitable as reason:  # planning had no time to check
            record = not_applicable(cell_id, description, command, options.reason_of(reason), _now())
        else:
            record = self.finished({"id": cell_id, "cell": description, "command": command, **outcome})
        write_record(self.directory, record)
        self.checkpoint_path.unlink(missing_ok=True)
        return {"id": cell_id}

    def finished(self, outcome: Mapping[str, Any]) -> dict[str, Any]:
        self.events.stage("recording")
        return {
            "schema": SCHEMA,
            "status": "finished",
            **outcome,
            # In an order that does not depend on where a training was resumed.
            "recipes": dict(sorted(self.evaluator.recipes.items())),
            "not_measured": self.evaluator.missing,
            "environment": {**environment.describe(self.device), "jobs": self.payload["jobs"]},
            "failure": None,
            "started_at": self.started_at,
            "finished_at": _now(),
        }

    def tell_metric(self, name: str) -> None:
        names = [metric.name for metric in self.evaluator.metrics]
        self.events.metric(name, names.index(name) if name in names else 0, len(names))

    def control(self) -> dict[str, Any]:
        """Draw from a control and measure; nothing is trained."""
        self.events.stage("sampling")
        generator = seeding.generator(self.cell.seed, "control", self.cell.model.name)
        items = controls.draw(self.cell.model.name, self.dataset, self.count, generator)
        self.events.stage("measuring")
        begin = time.perf_counter()
        numbers = self.evaluator.score(items, None, samples_held_out=self.cell.model.name == "real")
        return {
            "numbers": {name: number.to_json() for name, number in numbers.items()},
            "cost": {
                "evaluation_s": time.perf_counter() - begin,
                "metric_s": self.watch.seconds,
                **cost.peak_memory(self.device),
            },
            "curve": [],
            "artifacts": self.artifacts(items, None),
        }

    def model(self) -> dict[str, Any]:
        """Build, train, sample and measure."""
        self.events.stage("building")
        before, self.others = world.snapshot(), Others.now()
        source = SourceWatch(self.payload, self.settings, self.checkpoint_path, self.events)
        with world.importing():
            plugin = loading.load(finding.find(self.cell.model, [self.payload["distribution"]]))
        # Libraries set variables while they are imported: these are not held against a plugin.
        before["the environment"] = world.snapshot()["the environment"]
        self.check_world(plugin, before)  # what its import has left must not make genbench's own work fail
        training = self.training_of(plugin)
        # Only a budget in FLOPs has to count them all beforehand. Otherwise one step here shows whether they can be
        # counted, and the others are counted when nothing else can be disturbed by it.
        by_flops = self.settings.budget.unit == "flop"
        flops = training.count_flops() if by_flops else training.count_flops(1)
        source.after_first_step(plugin)
        steps = training.steps(flops)
        model, progress = training.begin(steps)
        self.check_world(plugin, before)
        if self.settings.compile:
            compile_networks(model)
        evaluation = Evaluation(
            plugin, model, self.dataset, self.evaluator, self.device, self.cell.seed, self.count, self.events
        )
        cost.reset_peak_memory(self.device)

        def curve_point() -> dict[str, float]:
            self.check_world(plugin, before, "train")  # what training left behind must not reach the numbers
            return evaluation.curve_point()

        contention = Contention()
        training.train(model, progress, curve_point, steps)
        waited = self.waited(contention)
        self.check_world(plugin, before, "train")
        self.events.stage("measuring")
        final = evaluation.final()
        self.check_world(plugin, before, "train")
        others = [] if self.ranks is None else self.ranks.finish()
        self.check_leftovers(plugin)
        source.at_the_end(plugin)
        on_curve = progress.rows[0].numbers
        progress.rows[-1].numbers = {name: value.value for name, value in final.numbers.items() if name in on_curve}
        memory = cost.largest([cost.peak_memory(self.device), *others])  # before another model is built
        if not by_flops:
            self.events.stage("counting")
            flops = training.count_flops(max(1, progress.step))  # 0 steps if the first evaluation was enough
        for row in progress.rows:
            row.flops = flops.total(row.step)
        return {
            "cell": source.described(),
            "numbers": {name: number.to_json() for name, number in final.numbers.items()},
            "cost": {**self.costs(training, model, progress, evaluation, flops), **memory, "waited_share": waited},
            "curve": [dict(vars(row)) for row in progress.rows],
            "artifacts": self.artifacts(final.samples, final.reconstructions),
        }

    def training_of(self, plugin: Plugin) -> CellTraining:
        """Return the training of this cell, not yet begun."""
        return CellTraining(
            self.cell,
            plugin,
            self.dataset,
            self.device,
            self.checkpoint_path,
            self.payload["checkpoint_interval"],
            self.events,
            self.payload["grace"],
            ranks=self.ranks,
            observed=self.payload.get("observed", False),
        )

    def waited(self, contention: Contention) -> float | None:
        """Return the share of their time that the training's threads have waited for a processor, and tell of much."""
        share = contention.share()
        if share is not None and share >= NOTICEABLE:
            self.events.notice(
                f"its threads spent {share:.0%} of the training waiting for a processor that something else was using, "
                "so its speeds are too low; train on an idle machine, or set OMP_NUM_THREADS=1"
            )
        return share

    def check_world(self, plugin: Plugin, before: dict[str, Any], seeded: str | None = None) -> None:
        """Raise `PluginError` if the plugin has changed what it shares with genbench, or reseeded its generators."""
        reseeded = seeded is not None and torch.initial_seed() != seeding.derive(self.cell.seed, seeded)
        refuse_changes(plugin, before, *(["the seed of torch's global generator"] if reseeded else []))

    def check_leftovers(self, plugin: Plugin) -> None:
        """Raise `PluginError` if the plugin has left threads or processes running."""
        found = self.others.left(self.settings.compile)
        if found:
            raise PluginError(f"{plugin}: left {', '.join(found)} running; end what you start before the hook returns")

    def costs(
        self,
        training: CellTraining,
        model: Model,
        progress: Progress,
        evaluation: Evaluation,
        flops: Flops,
    ) -> dict[str, Any]:
        batch_size = self.settings.batch_size
        trained, sampled = cost.throughput(progress.windows), cost.throughput(evaluation.windows)
        return {
            "train_items_per_s": trained and trained.to_json(),
            "sample_items_per_s": sampled and sampled.to_json(),
            "sample_batch_size": sampling.BATCH,
            "parameters": model.parameter_count(),
            "train_flops_per_item": flops.train.per_step / batch_size,
            "sample_flops_per_item": flops.sample,
            "flops_counted": str(flops.train),
            "steps": progress.step,
            "items": progress.step * batch_size,
            "replayed": training.replayed(model, progress),
            "train_s": progress.elapsed_s,
            "before_training_s": progress.before_s,
            "before_training_flops": flops.before,
            "before_sampling_s": evaluation.before_sampling_s,
            "evaluation_s": evaluation.seconds,
            "metric_s": self.watch.seconds,
        }

    def artifacts(self, items: Tensor, restored: Tensor | None) -> dict[str, str]:
        return save_artifacts(self.directory, self.cell, self.payload["id"], self.dataset, items, restored)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
