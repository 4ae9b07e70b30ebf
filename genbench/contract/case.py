"""One kind of data that a plugin is checked on, and calls to the plugin's hooks on it, as made by the harness."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genbench import seeding
from genbench.contract import state
from genbench.contract.fault import Fault, Refused, calling
from genbench.errors import GenbenchError, Unsuitable
from genbench.evaluation import sampling
from genbench.kinds import NOUNS, kind_named, kind_of_shape
from genbench.kinds.kind import Kind
from genbench.plugin import options
from genbench.plugin.data import Data, Training
from genbench.plugin.leftovers import Others
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.training.loop import TrainStep
from genbench.training.off_clock import stepping

__all__ = ["BATCH", "CLASSES", "STEPS", "Case", "Subject"]

BATCH = 8
STEPS = 2
CLASSES = 10
STRETCH = 10.0
TRAINING = Training(steps=1000, batch_size=BATCH)
SPLIT = (32, 32, 32, 32, 20)  # the batches of the training split; the last one is smaller, as in a real epoch


@dataclass(frozen=True)
class Case:
    """The kind of the items, the shape of one, and the number of classes or None."""

    kind: str
    shape: tuple[int, ...]
    classes: int | None

    @property
    def id(self) -> str:
        return f"{self.kind}-{self.size}-{'no-labels' if self.classes is None else 'labels'}"

    @property
    def size(self) -> str:
        if len(self.shape) == 1:
            return f"length-{self.shape[0]}"  # "12 texts" would be a dozen
        return "x".join(str(side) for side in self.shape)

    @classmethod
    def of(cls, shape: tuple[int, ...], classes: int | None) -> Case:
        """Return the case for a shape, whose dimensions determine the kind: (C, H, W) for images, (L,) for texts,
        (C, T) for clips."""
        return cls(kind_of_shape(shape).name, shape, classes)

    def __str__(self) -> str:
        return f"{self.size} {NOUNS[self.kind]} {'without' if self.classes is None else 'with'} labels"


@dataclass(frozen=True)
class Built:
    """A model, and its state after building."""

    model: Model
    initial: dict[str, Any]


@dataclass(frozen=True)
class FirstSteps:
    """A model after its first steps, with their losses and the state of torch's global generators after them."""

    model: Model
    losses: list[dict[str, Tensor]]
    random_state: dict[str, Any]


class Subject:
    """A plugin with its options on one case. Everything is a function of a seed, so every call is reproducible."""

    def __init__(
        self,
        plugin: Plugin,
        given: Mapping[str, Any],
        case: Case,
        device: torch.device,
        kind: Kind | None = None,
        others: Others | None = None,
    ) -> None:
        self.plugin = plugin
        self.given = given
        self.case = case
        self.device = device
        self.shape = torch.Size(case.shape)
        self.kind = kind or kind_named(case.kind)
        self.home = str(plugin.found.root())
        self.others = others or Others.now()

    def build(self, seed: int = 0, given: Mapping[str, Any] | None = None) -> Model:
        """Build a model, with different weights for each seed; raise `Refused` if the plugin raises ValueError."""
        seeding.seed_global(seed, "contract", "build")
        chosen = self.given if given is None else given
        with calling("build_model", self.home), stepping() as stepped:
            try:
                built = options.build(self.plugin, self.data, TRAINING, chosen, self.device)
            except Unsuitable as reason:
                raise Refused(f"unsuitable for {self.case}: {options.reason_of(reason)}") from reason
            except (ValueError, GenbenchError) as error:
                if not self._is_meant(error):
                    raise
                raise Refused(f"build_model refuses {self.case.size} {self.kind.noun}: {error}") from error
        if stepped:
            raise Fault(
                "build_model to train nothing",
                f"that it takes steps of {stepped[0]}",
                "train in before_training or train_step, where time and FLOPs are counted",
            )
        model: Model = built
        return model

    @property
    def data(self) -> Data:
        """The description of the data that the model is given."""
        return self.kind.data(self.shape, sum(SPLIT), self.case.classes)

    def begin(self, model: Model) -> None:
        """Call `before_training`, if the plugin has it."""
        if self.plugin.implements("before_training"):
            model.networks.train()
            with calling("before_training", self.home), torch.enable_grad():
                self.plugin.hook.before_training(model=model, batches=_Pass(self))

    def batch(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Return the training batch of one step."""
        return self._items(BATCH, "step", step)

    def batches(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """One pass over a small training split, as passed to `before_sampling`."""
        return (self._items(count, "split", part) for part, count in enumerate(SPLIT))

    def train(self, model: Model, first: int = 0, steps: int = STEPS) -> list[dict[str, Tensor]]:
        """Take `steps` training steps, counted from `first`, and return their losses; step 0 starts a training run."""
        if first == 0:
            self.begin(model)
        return [self.step(model, *self.batch(step), step) for step in range(first, first + steps)]

    def step(
        self, model: Model, batch: Tensor, labels: Tensor | None, step: int, hook: TrainStep | None = None
    ) -> dict[str, Tensor]:
        """Take one step in training mode, and return its losses; `hook` replaces the plugin's `train_step`."""
        model.networks.train()
        with calling("train_step", self.home), torch.enable_grad():
            return (hook or self.plugin.hook.train_step)(model=model, batch=batch, labels=labels, step=step)

    def prepare(self, model: Model) -> None:
        """Call `before_sampling`, if the plugin has it."""
        with calling("before_sampling", self.home):
            stepped = sampling.prepare(self.plugin, model, self.batches())
        if stepped:
            raise Fault(
                "before_sampling to train nothing",
                f"that it takes steps of {stepped[0]}",
                "train only in train_step, where time and FLOPs are counted",
            )

    def sample(self, model: Model, count: int, seed: int = 0) -> Tensor:
        """Draw items, with labels if the case has them."""
        labels = self._labels(count, "asked")
        items: Tensor = self.call(model, "sample", count=count, labels=labels, generator=self.generator(seed))
        return items

    def call(self, model: Model, hook: str, **arguments: Any) -> Any:
        """Call any hook except `train_step`, in evaluation mode and without gradients."""
        model.networks.eval()
        with calling(hook, self.home), torch.no_grad():
            return getattr(self.plugin.hook, hook)(model=model, **arguments)

    def generator(self, seed: int = 0) -> torch.Generator:
        """Return a fresh generator on the device."""
        return seeding.generator(seed, "contract", device=self.device)

    # The models below are built once and shared, because building and training dominate the cost of a check.

    @functools.cached_property
    def untrained(self) -> Model:
        """A model that no check trains."""
        return self.build()

    @functools.cached_property
    def built(self) -> Built:
        """The model that becomes `trained`, and its state before training."""
        model = self.build()
        return Built(model, state.snapshot(model))

    @functools.cached_property
    def first_steps(self) -> FirstSteps:
        """The same model after its first steps, with their losses."""
        seeding.seed_global(0, "contract", "train")
        losses = self.train(self.built.model, 0)
        return FirstSteps(self.built.model, losses, seeding.random_state())

    @functools.cached_property
    def trained(self) -> Model:
        """The same model, prepared for sampling. No check changes it, except for those that train it further."""
        self.prepare(self.first_steps.model)
        return self.first_steps.model

    @functools.cached_property
    def stretched(self) -> Model:
        """An untrained model with weights ten times too large: only a bound keeps its items in range."""
        model = self.build()
        for name, value in model.networks.state_dict().items():
            # By name, since an average of weights may be kept in buffers; the state refers to the tensors themselves.
            if name.endswith(("weight", "bias")) and value.is_floating_point():
                value.mul_(STRETCH)
        return model

    def _is_meant(self, error: Exception) -> bool:
        """Return whether the plugin's own lines raised the error: a ValueError from torch means a mistake instead."""
        if isinstance(error, GenbenchError) and error.__cause__ is None:
            return True
        frames = traceback.extract_tb((error.__cause__ or error).__traceback__)
        return frames[-1].filename.startswith(self.home)

    def _items(self, count: int, *names: str | int) -> tuple[Tensor, Tensor | None]:
        generator = seeding.generator(0, "contract", *names)
        stored = self.kind.random(count, self.shape, generator)
        return self.kind.deliver(stored).to(self.device), self._labels(count, *names)

    def _labels(self, count: int, *names: str | int) -> Tensor | None:
        if self.case.classes is None:
            return None
        generator = seeding.generator(0, "contract labels", *names)
        return torch.randint(self.case.classes, (count,), generator=generator).to(self.device)


@dataclass(frozen=True)
class _Pass:
    """The training split, which can be iterated any number of times."""

    subject: Subject

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        return self.subject.batches()
