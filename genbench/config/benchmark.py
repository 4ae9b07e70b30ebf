"""What a user asks for: models × datasets × seeds under one budget, and the cells that this makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from genbench.config.budget import Budget
from genbench.config.model_spec import ModelSpec
from genbench.config.settings import Settings
from genbench.errors import InputError, nearest

__all__ = ["CONTROLS", "Benchmark", "Cell"]

# Named here, since the lists that the command line prints may not import torch; drawn in `controls`.
CONTROLS = {
    "real": "held-out images: the floor of a distance at this sample count",
    "gaussian": "a Gaussian with the training pixels' mean and covariance",
    "noise": "uniform noise in every pixel",
    "copycat": "training images replayed: what memorisation metrics must catch",
}


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
        """Return plain values that `from_json` reads."""
        model = {"name": self.model.name, "options": dict(self.model.options), "given_label": self.model.given_label}
        return {**asdict(self), "model": model}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """Read what `to_json` returned."""
        settings = dict(data["settings"])
        settings["budget"] = Budget(**settings["budget"])
        settings["metrics"] = tuple(settings["metrics"])  # JSON knows lists alone
        return cls(ModelSpec(**data["model"]), data["dataset"], data["seed"], Settings(**settings))


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

    def __post_init__(self) -> None:
        if not self.seeds:
            raise InputError("seeds must be at least 1: no cell would run")
        if not self.datasets:
            raise InputError("no dataset is named; `genbench datasets` lists them")
        for name in self.controls:
            if name not in CONTROLS:
                raise InputError(f"unknown control {name!r}{nearest(name, CONTROLS)}")
        for model in self.models:
            self._check_label(model)

    def _check_label(self, model: ModelSpec) -> None:
        label = model.label
        alike = [other for other in self.models if other.label == label]
        if len(alike) > 1:
            if all((other.name, other.options) == (model.name, model.options) for other in alike):
                raise InputError(f"model {label!r} is named twice")
            names = " and ".join(dict.fromkeys(other.name for other in alike))
            example = _labelled(alike[1])
            raise InputError(f"two models are called {label!r} ({names}); give one a label, as in {example}")
        if model.name in CONTROLS:
            if model.given_label:
                raise InputError(f"{model.name!r} is a control and keeps its name; leave out its label")
        elif label in CONTROLS:
            raise InputError(
                f"model {model.name!r} is called {label!r} as a control is; give it a label, as in {_labelled(model)}"
            )

    def cells(self) -> list[Cell]:
        """Return every cell: dataset by dataset, seed by seed, controls first, since they cost next to nothing."""
        named = [model.name for model in self.models]
        controls = [ModelSpec(name) for name in self.controls if name not in named]
        return [
            Cell(model, dataset, seed, self.settings)
            for dataset in self.datasets
            for seed in self.seeds
            for model in (*controls, *self.models)
        ]
