"""Makes a benchmark from plain values, as flags and TOML files give them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from genbench.config.benchmark import Benchmark
from genbench.config.budget import Budget
from genbench.config.model_spec import ModelSpec
from genbench.config.settings import Settings
from genbench.errors import InputError, nearest

__all__ = ["make_benchmark", "read_benchmark"]


def _seeds(value: Any) -> tuple[int, ...]:
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
    known = _known_keys()
    for key in values:
        if key not in known:
            raise InputError(f"unknown key {key!r}{nearest(key, known)}")
    own: dict[str, Any] = {"models": tuple(_model(model) for model in _listed(values.get("models", ()), "models"))}
    for key in ("datasets", "controls"):
        if key in values:
            own[key] = tuple(_texts(values[key], key))
    if "seeds" in values:
        own["seeds"] = _seeds(values["seeds"])
    settings = {key: value for key, value in values.items() if key in {field.name for field in fields(Settings)}}
    if "metrics" in settings:
        settings["metrics"] = tuple(_texts(settings["metrics"], "metrics"))
    if "budget" in settings and not isinstance(settings["budget"], Budget):
        settings["budget"] = Budget.parse(settings["budget"])
    for key in ("device", "extractor", "weights", "profile", "data_root", "training_precision", "eval_precision"):
        if settings.get(key) is not None and not isinstance(settings[key], str):
            raise InputError(f"{key} must be text, not {settings[key]!r}")
    for key in ("compile", "cuda_graph"):
        if not isinstance(settings.get(key, False), bool):
            raise InputError(f"{key} must be true or false, not {settings[key]!r}")
    return Benchmark(**own, settings=Settings(**settings))


def _known_keys() -> list[str]:
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
        return ModelSpec.of(value["name"], {key: option for key, option in value.items() if key != "name"})
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
