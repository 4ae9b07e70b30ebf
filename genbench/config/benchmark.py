"""The user's request: models × datasets × seeds under one budget, and the resulting cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from genbench.config.budget import Budget
from genbench.config.model_spec import ModelSpec
from genbench.config.observer_spec import ObserverSpec
from genbench.config.settings import Settings
from genbench.errors import InputError, nearest, quoted

__all__ = ["CONTROLS", "CONTROL_KINDS", "MOST_CELLS", "Benchmark", "Cell"]

MOST_CELLS = 100_000  # of a benchmark: each has a record, and even cells of one second take more than a day

# Named here because the lists printed by the command line must not import torch; drawn in `controls`.
CONTROLS = {
    "real": "held-out items: the floor of a distance at this sample count",
    "gaussian": "a Gaussian with the mean and covariance of the training pixels, or the spectrum of the training clips",
    "ngram": "texts of a smoothed 3-gram model of the training texts' symbols",
    "silence": "clips without a sound: some embeddings score them well",
    "noise": "uniform noise in every pixel, symbol or sample",
    "copycat": "training items replayed: what memorisation metrics must catch",
}

# The kinds of items of those controls that do not support all kinds.
CONTROL_KINDS = {"gaussian": ("image", "audio"), "ngram": ("text",), "silence": ("audio",)}


@dataclass(frozen=True)
class Cell:
    """One model with its options, on one dataset, with one seed, under one budget."""

    model: ModelSpec
    dataset: str
    seed: int
    settings: Settings

    @property
    def is_control(self) -> bool:
        """Whether the model is a control, which needs no plugin and no training."""
        return self.model.name in CONTROLS

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `from_json`."""
        model = {"name": self.model.name, "options": dict(self.model.options), "given_label": self.model.given_label}
        return {**asdict(self), "model": model}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """Read what `to_json` returned."""
        settings = dict(data["settings"])
        settings["budget"] = Budget(**settings["budget"])
        for name in ("metrics", "target"):
            settings[name] = tuple(settings[name])  # JSON has only lists
        return cls(ModelSpec(**data["model"]), data["dataset"], data["seed"], Settings(**settings))


def _check_label(label: str, models: Sequence[ModelSpec]) -> None:
    """Raise `InputError` if several models share a label, or a label is the name of a control that the model is not."""
    model = models[0]
    if len(models) > 1:
        if all((other.name, other.options) == (model.name, model.options) for other in models):
            raise InputError(f"model {quoted(label)} is named twice")
        names = " and ".join(dict.fromkeys(quoted(other.name) for other in models))
        example = _labelled(models[1])
        raise InputError(f"two models are called {quoted(label)} ({names}); give one a label, as in {example}")
    if model.name in CONTROLS:
        if model.given_label:
            raise InputError(f"{model.name!r} is a control and keeps its name; leave out its label")
    elif label in CONTROLS:
        raise InputError(
            f"model {quoted(model.name)} is called {label!r} like a control; give it a label, as in {_labelled(model)}"
        )


def _counted(named: Sequence[object], what: str) -> str:
    return f"{len(named):,} {what}{'' if len(named) == 1 else 's'}"


def _labelled(model: ModelSpec) -> str:
    """Return a model as the user could write it with a label."""
    options = "".join(f"{key}={value}," for key, value in model.options.items())
    return f"-m {model.name}:{options}label=mine"


@dataclass(frozen=True)
class Benchmark:
    """Models × datasets × seeds under one budget; the controls anchor each table."""

    models: tuple[ModelSpec, ...]
    datasets: tuple[str, ...] = ("digits",)
    seeds: tuple[int, ...] = (0, 1, 2)
    controls: tuple[str, ...] = tuple(CONTROLS)
    settings: Settings = field(default_factory=Settings)
    observe: tuple[ObserverSpec, ...] = ()  # not part of the identity of cells

    def __post_init__(self) -> None:
        if not self.seeds:
            raise InputError("seeds must be at least 1: no cell would run")
        if not self.datasets:
            raise InputError("no dataset is given; `genbench datasets` lists them")
        for name in self.controls:
            if name not in CONTROLS:
                raise InputError(f"unknown control {quoted(name)}{nearest(name, CONTROLS)}")
        count = (len(self.models) + len(self.controls)) * len(self.datasets) * len(self.seeds)
        if count > MOST_CELLS:
            raise InputError(
                f"{_counted(self.models, 'model')} and {_counted(self.controls, 'control')} × "
                f"{_counted(self.datasets, 'dataset')} × {_counted(self.seeds, 'seed')} are {count:,} cells, but one "
                f"benchmark can have at most {MOST_CELLS:,}"
            )
        if len(set(map(str, self.observe))) < len(self.observe):
            raise InputError(f"observers {', '.join(map(str, self.observe))}: one is named twice; leave it out")
        alike: dict[str, list[ModelSpec]] = {}
        for model in self.models:
            alike.setdefault(model.label, []).append(model)
        for label, sharing in alike.items():
            _check_label(label, sharing)

    def cells(self) -> list[Cell]:
        """Return all cells: dataset by dataset, seed by seed, controls first because they cost almost nothing."""
        named = [model.name for model in self.models]
        controls = [ModelSpec(name) for name in self.controls if name not in named]
        return [
            Cell(model, dataset, seed, self.settings)
            for dataset in self.datasets
            for seed in self.seeds
            for model in (*controls, *self.models)
        ]
