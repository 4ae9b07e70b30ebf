"""What a user asks for: `Benchmark`, the cells it is made of, and `Budget`; read from TOML or from flags."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from genbench.errors import InputError, nearest

__all__ = ["CONTROLS", "Benchmark", "Budget", "Cell", "ModelSpec", "Settings", "read_benchmark"]

# Named here, since the lists that the command line prints may not import torch; drawn in `controls`.
CONTROLS = {
    "real": "held-out images: the floor of a distance at this sample count",
    "gaussian": "a Gaussian with the training pixels' mean and covariance",
    "noise": "uniform noise in every pixel",
    "copycat": "training images replayed: what memorisation metrics must catch",
}

Unit = Literal["steps", "kimg", "s", "flop"]
Precision = Literal["fp32", "tf32", "bf16"]
EvalPrecision = Literal["fp32", "bf16"]
DEVICES = ("auto", "cpu", "cuda", "mps")
OptionValue = bool | int | float | str | None


@dataclass(frozen=True)
class Budget:
    """How long a cell may train. Evaluation never counts; compilation does.

    >>> Budget.parse("200kimg").steps(batch_size=64, flops_per_step=0)
    3125
    >>> str(Budget.parse("3_000steps"))
    '3000steps'
    """

    amount: float
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `3000steps`, `200kimg`, `60s` or `1e15flop`; raise `InputError` for anything else."""
        match = re.fullmatch(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:e\+?[0-9]+)?)\s*([a-z]*)\s*", str(text).lower())
        unit = match and {"step": "steps", "flops": "flop", "sec": "s"}.get(match[2], match[2])
        if not match or unit not in get_args(Unit):
            raise InputError(f"budget {text!r} cannot be read; write for example 3000steps, 200kimg, 60s or 1e15flop")
        amount = float(match[1])
        if amount <= 0 or (unit == "steps" and amount != int(amount)):
            raise InputError(f"budget {text!r} must be above zero, and steps a whole number")
        return cls(amount, unit)  # type: ignore[arg-type]  # checked against Unit above

    def __str__(self) -> str:
        return f"{self.amount:.15g}{self.unit}" if self.amount < 1e15 else f"{self.amount:g}{self.unit}"

    def steps(self, batch_size: int, flops_per_step: float) -> int | None:
        """Return how many training steps this is, at least one; None for seconds, which only a clock can tell."""
        match self.unit:
            case "steps":
                return int(self.amount)
            case "kimg":
                return max(1, round(self.amount * 1000 / batch_size))
            case "flop":
                if flops_per_step <= 0:
                    raise InputError(f"budget {self}: no floating-point operations were counted in a training step")
                return max(1, int(self.amount // flops_per_step))
            case "s":
                return None


@dataclass(frozen=True)
class ModelSpec:
    """A model as the user names it: an entry point, `distribution:name`, a file or a control, and its options."""

    name: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Read `vae`, `vae:beta=4,likelihood=gaussian`, `genbench-vae:vae:beta=4` or `./my_model.py:width=64`.

        >>> ModelSpec.parse("vae:beta=4,name='a b'").options
        {'beta': 4, 'name': 'a b'}
        """
        head, separator, tail = text.rpartition(":")
        if not separator or "=" not in tail:
            head, tail = text, ""
        if not head.strip() or "=" in head:
            raise InputError(f"model {text!r} cannot be read; write for example vae or vae:beta=4,latent=16")
        options: dict[str, OptionValue] = {}
        for part in filter(None, (part.strip() for part in tail.split(","))):
            key, equals, value = part.partition("=")
            if not equals or not key.strip().isidentifier():
                raise InputError(f"model {text!r}: option {part!r} is not of the form name=value")
            if key.strip() in options:
                raise InputError(f"model {text!r}: option {key.strip()!r} is given twice")
            options[key.strip()] = _value(value.strip())
        return cls(head.strip(), options)

    @property
    def is_file(self) -> bool:
        """Whether the name is that of a Python file."""
        return self.name.endswith(".py")

    @property
    def label(self) -> str:
        """What tables call it: the name and the options that differ from the defaults.

        >>> ModelSpec("./nets/tiny.py", {"width": 64}).label
        'tiny:width=64'
        """
        name = Path(self.name).stem if self.is_file else self.name
        options = ",".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"{name}:{options}" if options else name


def _value(text: str) -> OptionValue:
    """Read a literal (`4`, `0.5`, `true`, `None`, `'text'`), or take the text as it is."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if value is None or isinstance(value, bool | int | float | str) else text


@dataclass(frozen=True)
class Settings:
    """What all cells of a benchmark share: the budget, and how quality is measured.

    Args:
        budget: how long each cell trains.
        batch_size: training images a step.
        evaluations: how many times quality is measured, evenly spread; the last is at the end of the budget.
        samples: images drawn for quality; None takes as many as the held-out split has, 10,000 at most.
        device: `auto` takes CUDA where there is any, else MPS, else the CPU.
        precision: of training; `fp32` keeps TF32 out, `tf32` lets CUDA round what products and convolutions read to it.
            `eval_precision` is that of the extractor.
        compile: whether networks are compiled.
        cuda_graph: whether the steps of models that declare `capturable` are replayed from a CUDA graph.
        extractor: `auto`, `inception`, `digits-cnn`, `classifier` or `random-conv`.
        weights: a file with the weights of Inception.
        profile: which published tool's resizing the extractor follows.
        image_size: what images are resized to, or None to take them as they are.
        data_root: where datasets are kept.
        metrics: names that `genbench.selection.select` reads; none is the default.
    """

    budget: Budget = Budget(3000, "steps")
    batch_size: int = 64
    evaluations: int = 5
    samples: int | None = None
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False
    cuda_graph: bool = False
    extractor: str = "auto"
    weights: str | None = None
    profile: str | None = None
    eval_precision: EvalPrecision = "fp32"
    image_size: int | None = None
    data_root: str | None = None
    metrics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("batch_size", "evaluations", "samples", "image_size"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InputError(f"{name} must be a whole number above zero, not {value!r}")
        for name, known in (("precision", get_args(Precision)), ("eval_precision", get_args(EvalPrecision))):
            if getattr(self, name) not in known:
                raise InputError(f"{name} {getattr(self, name)!r} is not one of {', '.join(known)}")
        if self.compile and self.cuda_graph:
            raise InputError("compile and cuda_graph cannot be combined; choose one")
        if self.device.split(":")[0] not in DEVICES:
            raise InputError(f"device {self.device!r} is not one of {', '.join(DEVICES)}")


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
        return {**asdict(self), "model": {"name": self.model.name, "options": dict(self.model.options)}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """Read what `to_json` returned."""
        settings = dict(data["settings"])
        settings["budget"] = Budget(**settings["budget"])
        settings["metrics"] = tuple(settings["metrics"])  # JSON knows lists alone
        return cls(ModelSpec(**data["model"]), data["dataset"], data["seed"], Settings(**settings))


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
        labels = [model.label for model in self.models]
        for label in labels:
            if labels.count(label) > 1:
                raise InputError(f"model {label!r} is named twice")

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


def seeds_from(value: Any) -> tuple[int, ...]:
    """Read `3` as seeds 0, 1, 2, and a list of whole numbers as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise InputError(f"seeds must be at least 1, not {value}")
        return tuple(range(value))
    if isinstance(value, list | tuple) and value and all(type(seed) is int and seed >= 0 for seed in value):
        return tuple(dict.fromkeys(value))
    raise InputError(f"seeds must be a number of seeds, or a list of whole numbers, not {value!r}")


def make_benchmark(values: Mapping[str, Any]) -> Benchmark:
    """Make a benchmark from plain values: the keys of a TOML file, which are the fields of the dataclasses."""
    known = benchmark_keys()
    for key in values:
        if key not in known:
            raise InputError(f"unknown key {key!r}{nearest(key, known)}")
    own: dict[str, Any] = {"models": tuple(_model(model) for model in _listed(values.get("models", ()), "models"))}
    for key in ("datasets", "controls"):
        if key in values:
            own[key] = tuple(_texts(values[key], key))
    if "seeds" in values:
        own["seeds"] = seeds_from(values["seeds"])
    settings = {key: value for key, value in values.items() if key in {field.name for field in fields(Settings)}}
    if "metrics" in settings:
        settings["metrics"] = tuple(_texts(settings["metrics"], "metrics"))
    if "budget" in settings and not isinstance(settings["budget"], Budget):
        settings["budget"] = Budget.parse(settings["budget"])
    for key in ("device", "extractor", "weights", "profile", "data_root", "precision", "eval_precision"):
        if settings.get(key) is not None and not isinstance(settings[key], str):
            raise InputError(f"{key} must be text, not {settings[key]!r}")
    for key in ("compile", "cuda_graph"):
        if not isinstance(settings.get(key, False), bool):
            raise InputError(f"{key} must be true or false, not {settings[key]!r}")
    return Benchmark(**own, settings=Settings(**settings))


def benchmark_keys() -> list[str]:
    """Return the keys that a benchmark file may have."""
    return ["models", "datasets", "seeds", "controls", *(field.name for field in fields(Settings))]


def read_benchmark(path: Path) -> dict[str, Any]:
    """Read a benchmark file to plain values for `make_benchmark`; an error names the file and the line."""
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error
    for key in values:
        try:
            make_benchmark({key: values[key]})
        except InputError as error:
            raise InputError(f"{path}:{_line_of(key, text)}: {error}") from error
    return values


def _line_of(key: str, text: str) -> int:
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[\].=]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def _model(value: Any) -> ModelSpec:
    if isinstance(value, ModelSpec):
        return value
    if isinstance(value, str):
        if not value.isprintable():  # it names rows, files and records; the bytes of another encoding could not
            raise InputError(f"model {value!r} holds characters that cannot be shown; rename the file or the value")
        return ModelSpec.parse(value)
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return ModelSpec(value["name"], {key: option for key, option in value.items() if key != "name"})
    raise InputError(f'models: {value!r} is neither text such as "vae:beta=4" nor a table with a name')


def _listed(value: Any, key: str) -> Iterable[Any]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InputError(f"{key} must be a list, not {value!r}")
    return value


def _texts(value: Any, key: str) -> list[str]:
    texts = list(_listed(value, key))
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{key} must be a list of names, not {value!r}")
    return list(dict.fromkeys(texts))
