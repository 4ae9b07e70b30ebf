"""Draws from a trained model and measures it, off the clock and without affecting the random state of training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genbench import seeding
from genbench.datasets.dataset import Dataset
from genbench.errors import PluginError
from genbench.evaluation import sampling
from genbench.evaluation.measurement import Evaluator, Number
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.plugin.returned import FLOATS, Unusable, plain
from genbench.training import cost
from genbench.training.passes import passes

__all__ = ["Evaluation", "Outcome"]

Emit = Callable[[dict[str, Any]], None]
ABOVE_ZERO = 1e-3  # nats by which rounding may exceed a probability of 1
SAMPLING_S = 0.5  # minimum duration of timed sampling


@dataclass(frozen=True)
class Outcome:
    """The result of one evaluation: the numbers, and the items (N, ...) that they were measured on."""

    numbers: dict[str, Number]
    samples: Tensor
    reconstructions: Tensor | None = None


@dataclass
class Evaluation:
    """Evaluates one model, and keeps the seconds that it took and the sampling windows."""

    plugin: Plugin
    model: Model
    dataset: Dataset
    evaluator: Evaluator
    device: torch.device
    seed: int
    count: int
    emit: Emit
    seconds: float = 0.0
    before_sampling_s: float = 0.0
    windows: list[tuple[int, float]] = field(default_factory=list)

    def curve_point(self) -> dict[str, float]:
        """Return the numbers that make up a curve."""
        return {name: number.value for name, number in self._run(curve=True).numbers.items()}

    def final(self) -> Outcome:
        """Return every available number, and time sampling for at least `SAMPLING_S`."""
        outcome = self._run(curve=False)
        spent = sum(seconds for _, seconds in self.windows)
        while spent < SAMPLING_S:
            self._draw(sampling.BATCH)
            spent += self.windows[-1][1]
        return outcome

    def _run(self, *, curve: bool) -> Outcome:
        begin = time.perf_counter()
        state = seeding.random_state()
        more: dict[str, Any] = {}
        if not curve:
            with sampling.untouched(self.plugin, self.model, "reconstruct or log_likelihood"):
                more = {"reconstructions": self._reconstruct(), "log_likelihoods": self._log_likelihood()}
            if more["reconstructions"] is not None:
                more["originals"] = self.dataset.held_out.items
        with sampling.untouched(self.plugin, self.model, "before_sampling"):
            self._prepare()
        self.windows = []
        with sampling.untouched(self.plugin, self.model, "sample"):
            items, labels = self._draw(self.count)
        conditional = self.plugin.implements("sample", "labels")
        numbers = self.evaluator.score(items, labels if conditional else None, curve=curve, **more)
        seeding.restore_random_state(state)
        self.seconds += time.perf_counter() - begin
        return Outcome(numbers, items, more.get("reconstructions"))

    def _prepare(self) -> None:
        read = cost.clock(self.device)
        begin = read()
        stepped = sampling.prepare(self.plugin, self.model, passes(self.dataset.train, sampling.BATCH, self.device))
        if stepped:
            raise PluginError(
                f"{self.plugin}: before_sampling takes steps of {stepped[0]}; train only in train_step, where time and "
                "FLOPs are counted"
            )
        self.before_sampling_s = read() - begin

    def _draw(self, count: int) -> tuple[Tensor, Tensor | None]:
        read = cost.clock(self.device)
        last, done = read(), 0

        def after_batch(size: int) -> None:
            nonlocal last, done
            now = read()
            self.windows.append((size, now - last))
            last, done = now, done + size
            self.emit({"event": "progress", "stage": "sampling", "done": done, "total": count})

        return sampling.draw(self.plugin, self.model, self.dataset, count, self.seed, self.device, after_batch)

    def _reconstruct(self) -> Tensor | None:
        """Reconstruct the held-out items, if the plugin can: (N, ...) as stored."""
        if not self.plugin.implements("reconstruct"):
            return None

        kind = self.dataset.kind

        def restore(batch: Tensor) -> Tensor:
            restored = self.plugin.hook.reconstruct(model=self.model, batch=batch)
            return kind.store(sampling.check(self.plugin, "reconstruct", kind, restored, batch.shape))

        return self._over_held_out(restore)

    def _log_likelihood(self) -> Tensor | None:
        """Bound the log-likelihood of the held-out items, if the plugin can: (N,) float64 nats."""
        if not self.plugin.implements("log_likelihood"):
            return None
        generator = seeding.generator(self.seed, "log_likelihood", device=self.device)

        def bound(batch: Tensor) -> Tensor:
            nats = self.plugin.hook.log_likelihood(model=self.model, batch=batch, generator=generator)
            try:
                found = plain(nats, FLOATS)
            except Unusable as error:
                raise PluginError(
                    f"{self.plugin}: log_likelihood returned {error}, expected a float tensor of ({len(batch)},)"
                ) from None
            if tuple(found.shape) != (len(batch),):
                raise PluginError(
                    f"{self.plugin}: log_likelihood returned {tuple(found.shape)}, expected ({len(batch)},)"
                )
            if not torch.isfinite(found).all():
                raise PluginError(f"{self.plugin}: log_likelihood returned NaN or infinity, expected finite nats")
            if float(found.max()) > ABOVE_ZERO:
                raise PluginError(
                    f"{self.plugin}: log_likelihood returned {float(found.max()):.4g} nats, expected at most 0, since "
                    f"{self.dataset.kind.noun} as they are stored have probabilities; "
                    f"{self.dataset.kind.likelihood_advice}"
                )
            return found

        return self._over_held_out(bound).double()

    def _over_held_out(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        self.model.networks.eval()
        batches = passes(self.dataset.held_out, sampling.BATCH, self.device)
        with torch.no_grad():
            return torch.cat([function(batch).cpu() for batch, _ in batches])
