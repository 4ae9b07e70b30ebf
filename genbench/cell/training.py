"""The training of one cell: from its start, or from its last checkpoint, to the end of its budget."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genbench import seeding
from genbench.cell.ending import Ending
from genbench.cell.events import Events
from genbench.cell.points import Points
from genbench.cell.ranks import Ranks
from genbench.config import Cell, Target
from genbench.datasets.dataset import Dataset
from genbench.errors import PluginError
from genbench.plugin import options, world
from genbench.plugin.data import Training
from genbench.plugin.guarding import refuse_changes
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.records.target import first_met
from genbench.training import checkpoint, cost, loop
from genbench.training.capture import WARM_UP_STEPS, ReplayedStep
from genbench.training.compilation import double_backward_told
from genbench.training.flops import MOST_STEPS, Flops, count_flops
from genbench.training.loop import Progress, Schedule
from genbench.training.off_clock import stepping
from genbench.training.passes import before_training
from genbench.training.ranks.batch_norm import synchronise
from genbench.training.ranks.group import Alone

__all__ = ["CellTraining"]


@dataclass(frozen=True)
class CellTraining:
    """Builds the model of one cell and trains it.

    Args:
        cell: the cell, including its budget.
        plugin: of the cell's model.
        dataset: of the cell.
        device: the device it trains on.
        checkpoint_path: where it is saved, and resumed from.
        checkpoint_interval: seconds between checkpoints, or None.
        events: receives its progress.
        grace_s: seconds that a request to end this process waits for a checkpoint.
        rank: of this process among those that train the cell.
        ranks: all of them, if there are several and this is the first.
        observed: whether the points of the curve are reported during training.
    """

    cell: Cell
    plugin: Plugin
    dataset: Dataset
    device: torch.device
    checkpoint_path: Path
    checkpoint_interval: float | None
    events: Events
    grace_s: float = 10.0
    rank: int = 0
    ranks: Ranks | None = None
    observed: bool = False

    def steps(self, flops: Flops) -> int | None:
        """Return the budget in steps; None for a budget in seconds."""
        settings = self.cell.settings
        return settings.budget.steps(settings.batch_size, flops.steps_within)

    def begin(self, steps: int | None) -> tuple[Model, Progress]:
        """Build the model and seed its training, or resume both from the last checkpoint.

        Args:
            steps: the number of steps that the model is given; None if unknown.
        """
        model, progress = self._begun(steps)
        if self.ranks is not None:
            self.ranks.take_up(self.plugin, model, self.device, steps, bool(progress.rows))
        return model, progress

    def follow(self, steps: int | None, resumed: bool) -> Model:
        """Build the model as a rank other than the first, or resume it from the last checkpoint."""
        model = self._seeded(steps)
        if resumed:
            checkpoint.restore(self.checkpoint_path, model, self.rank)
        return model

    def seed(self) -> None:
        """Seed torch's global generators, which a training step draws from: a different seed for each rank."""
        seeding.seed_global(self.cell.seed, "train", *(("rank", self.rank) if self.rank else ()))

    def count_flops(self, most: int = MOST_STEPS) -> Flops:
        """Count the FLOPs of training steps and of a sampled item, on a model that is then discarded.

        Args:
            most: the maximum number of training steps to count.
        """
        check = partial(refuse_changes, self.plugin, world.snapshot())
        model = self._build(None)  # the number of steps is not known before they are counted
        check()
        budget = self.cell.settings.budget
        allowed = budget.amount if budget.unit == "flop" else None
        ranks = self.cell.settings.ranks
        if allowed is not None:
            allowed /= ranks
        if ranks > 1:
            synchronise(model.networks, Alone())  # torch's own BatchNorm refuses a single row, ranks may have one each
        flops = count_flops(self.plugin, model, self.batches(), self.device, most, allowed, self.before(model), check)
        if flops.train.unlike:
            self.events.notice(f"{self.plugin}: its FLOPs are not exact: {flops.train}")
        return flops if ranks == 1 else flops.of_ranks(ranks)

    def train(
        self,
        model: Model,
        progress: Progress,
        evaluate: Callable[[], dict[str, float]],
        steps: int | None,
    ) -> None:
        """Train to the end of the budget, or to the targets if training is to stop there.

        Args:
            model: from `begin`.
            progress: from `begin`; it is advanced in place.
            evaluate: returns the numbers of each point of the curve.
            steps: as in `begin`.
        """
        settings = self.cell.settings
        schedule = Schedule(steps, None if steps is not None else settings.budget.amount, settings.evaluations)
        autosave = checkpoint.Autosave(
            self.checkpoint_path, model, self.checkpoint_interval, time.monotonic, self.events.notice, self._states
        )
        ranks, before = self.ranks, self.before(model)
        ending = Ending(self.grace_s)
        points = Points(self.events, self.observed)
        enough = self.targets_are_met if settings.stop_at_target else None

        def evaluated(progress: Progress) -> dict[str, float]:
            self.events.stage("evaluating")
            numbers = evaluate()
            self.events.stage("training")
            return numbers

        def after_window(progress: Progress) -> None:
            self.events(_progress_event(progress, schedule))
            points.made(progress.rows, lambda: _is_over(progress, schedule, enough))
            self._save_or_stop(progress, autosave, ending, points)

        self.events.stage("training")
        told = double_backward_told(self.plugin) if settings.compile else contextlib.nullcontext()
        with told, ending, points.told_whatever_happens():
            loop.train(
                self.plugin,
                model,
                self.batches(),
                schedule,
                progress,
                clock=cost.clock(self.device),
                precision=settings.training_precision,
                prepare=partial(ranks.prepare, before) if ranks and before else before,
                step=ranks.lockstep.step if ranks else self.replayed_step(model),
                evaluate=evaluated,
                after_window=after_window,
                enough=enough,
                together=ranks,
            )
        if schedule.window(progress):
            self.events.notice(f"target {', '.join(settings.target)} met: training ends after step {progress.step:,}")
        if autosave.is_worth_it():
            autosave.save(progress.to_json())  # the last evaluation may take a long time, and may fail

    def _save_or_stop(self, progress: Progress, autosave: checkpoint.Autosave, ending: Ending, points: Points) -> None:
        """Write a checkpoint where one is due; if the cell has been asked to end, write one and end it."""
        if autosave.is_due() or ending.asked:
            autosave.save(progress.to_json())
        if ending.asked:
            points.tell()
            self.events.notice(f"stops as requested, after step {progress.step:,}")
            ending.end()
        ending.window_ended()

    def targets_are_met(self, progress: Progress) -> bool:
        """Whether every target has been met somewhere along the curve."""
        curve = [vars(row) for row in progress.rows]
        return all(first_met(curve, Target.parse(text)) for text in self.cell.settings.target)

    def replayed_step(self, model: Model) -> ReplayedStep | None:
        """Return the step that replays the model from a CUDA graph; None if it is not requested or not allowed."""
        if self.cell.settings.cuda_graph and not model.capturable:
            self.events.notice(
                f"{self.plugin}: does not declare its steps capturable, so they run without a CUDA graph"
            )
        if not self._may_replay(model):
            return None
        return ReplayedStep(self.plugin, self.plugin.hook.train_step, model, self.device)

    def replayed(self, model: Model, progress: Progress) -> bool:
        """Whether steps of the training were replayed from a CUDA graph."""
        return self._may_replay(model) and progress.step > WARM_UP_STEPS

    def _may_replay(self, model: Model) -> bool:
        return self.cell.settings.cuda_graph and model.capturable

    def _seeded(self, steps: int | None) -> Model:
        """Build the model, and seed its training."""
        model = self._build(steps)
        self.seed()
        return model

    def _begun(self, steps: int | None) -> tuple[Model, Progress]:
        model = self._seeded(steps)
        if not os.path.lexists(self.checkpoint_path):
            return model, Progress()
        try:
            progress = self._restored(model)
        except checkpoint.CheckpointError as error:
            aside = self._clear_checkpoint()
            kept = f"; what was in its place is now {aside}" if aside else ""
            self.events.notice(f"{error}{kept}; training starts over")
            return self._seeded(steps), Progress()  # because part of the state may have been loaded
        self.events.notice(f"resumes after step {progress.step:,}")
        return model, progress

    def _states(self) -> Sequence[dict[str, Any]]:
        return self.ranks.random_states() if self.ranks is not None else ()

    def _restored(self, model: Model) -> Progress:
        data = checkpoint.restore(self.checkpoint_path, model)
        try:
            return Progress.from_json(data)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise checkpoint.CheckpointError(
                f"checkpoint {self.checkpoint_path}: cannot be restored: its progress has the wrong type"
            ) from error

    def _clear_checkpoint(self) -> Path | None:
        """Make room for the next checkpoint: remove an invalid file, or move a folder aside and return where it is."""
        path = self.checkpoint_path
        if path.is_dir() and not path.is_symlink():
            return path.rename(tempfile.mkdtemp(dir=path.parent, prefix=f"{path.name}.aside-"))
        path.unlink()
        return None

    def _build(self, steps: int | None) -> Model:
        seeding.seed_global(self.cell.seed, "build")
        known = Training(steps, self.cell.settings.batch_size)
        with stepping() as stepped:
            model = options.build(self.plugin, self.dataset.data, known, self.cell.model.options, self.device)
        if stepped:
            raise PluginError(
                f"{self.plugin}: build_model takes steps of {stepped[0]}; train in before_training or train_step, "
                "where time and FLOPs are counted"
            )
        if not isinstance(model, Model):
            raise PluginError(f"{self.plugin}: build_model returned {type(model).__name__}, expected a genbench.Model")
        return model

    def before(self, model: Model) -> Callable[[], None] | None:
        """Return a function that calls the hook `before_training`; None if the plugin has none."""
        return before_training(self.plugin, model, self.dataset.train, self.device)

    def batches(self) -> loop.Batches:
        """Return the training batches, or this rank's rows of them."""
        settings = self.cell.settings
        return loop.Batches(
            self.dataset.train, settings.batch_size, self.cell.seed, self.device, self.rank, settings.ranks
        )


def _is_over(progress: Progress, schedule: Schedule, enough: Callable[[Progress], bool] | None) -> bool:
    """Whether no window follows, as the loop decides it."""
    return not schedule.window(progress) or (enough is not None and enough(progress))


def _progress_event(progress: Progress, schedule: Schedule) -> dict[str, Any]:
    items, seconds = progress.windows[-1]
    return {
        "event": "progress",
        "stage": "training",
        "done": progress.step,
        "total": schedule.steps or round(progress.step / max(schedule.fraction(progress), 1e-9)),
        "losses": progress.rows[-1].losses,
        "items_per_s": items / max(seconds, 1e-9),
    }
