"""Builds a benchmark from plain values, as given by flags and TOML files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from genbench.config.benchmark import MOST_CELLS, Benchmark
from genbench.config.budget import Budget
from genbench.config.model_spec import LARGEST_WHOLE, ModelSpec
from genbench.config.observer_spec import ObserverSpec
from genbench.config.settings import Settings
from genbench.config.target import Target
from genbench.errors import InputError, nearest, quoted

__all__ = ["make_benchmark", "read_benchmark"]

_ALONE = {"controls": [], "seeds": 1}  # beside a key that is checked by itself: cells are counted for all keys at once
LARGEST_FILE = 1 << 20  # bytes; a benchmark of a thousand models takes a tenth of that
MOST_PARTS = 16  # of a dotted key: tomllib's time grows with their square, and a benchmark's keys have one
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?:^|[\[{{,])[ \t]*+{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MOST_PARTS}}}", re.MULTILINE)


def _seeds(value: Any) -> tuple[int, ...]:
    """Read `3` as seeds 0, 1, 2, and a list of whole numbers unchanged."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise InputError(f"seeds must be at least 1, not {quoted(value)}")
        if value > MOST_CELLS:
            raise InputError(f"seeds must be at most {MOST_CELLS:,}, not {quoted(value)}")
        return tuple(range(value))
    if isinstance(value, list | tuple) and value and all(map(_is_seed, value)):
        return tuple(dict.fromkeys(value))
    raise InputError(f"seeds must be a number of seeds, or a list of whole numbers below 2**63, not {quoted(value)}")


def _is_seed(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_WHOLE


def make_benchmark(values: Mapping[str, Any]) -> Benchmark:
    """Build a benchmark from plain values: the keys of a TOML file are the fields of the dataclasses."""
    known = _known_keys()
    for key in values:
        if key not in known:
            raise InputError(f"unknown key {quoted(key)}{nearest(key, known)}")
    own: dict[str, Any] = {"models": tuple(_model(model) for model in _listed(values.get("models", ()), "models"))}
    for key in ("datasets", "controls"):
        if key in values:
            own[key] = tuple(_texts(values[key], key))
    if "observe" in values:
        own["observe"] = tuple(map(ObserverSpec.of, _listed(values["observe"], "observe")))
    if "seeds" in values:
        own["seeds"] = _seeds(values["seeds"])
    settings = {key: value for key, value in values.items() if key in {field.name for field in fields(Settings)}}
    if "metrics" in settings:
        settings["metrics"] = tuple(_texts(settings["metrics"], "metrics"))
        if not settings["metrics"]:  # it would select the default
            raise InputError("metrics names no metric; name some, or leave it out for the default")
    if "target" in settings:
        settings["target"] = _targets(settings["target"])
    if "budget" in settings and not isinstance(settings["budget"], Budget):
        settings["budget"] = Budget.parse(settings["budget"])
    for key in ("device", "extractor", "weights", "profile", "data_root", "training_precision", "eval_precision"):
        value = settings.get(key, "")
        may_lack = value is None and key in ("weights", "profile", "data_root")
        if not may_lack and not (isinstance(value, str) and value.isprintable()):
            raise InputError(f"{key} must be text that can be shown, not {quoted(value)}")
    for key in ("compile", "cuda_graph", "stop_at_target"):
        if not isinstance(settings.get(key, False), bool):
            raise InputError(f"{key} must be true or false, not {quoted(settings[key])}")
    return Benchmark(**own, settings=Settings(**settings))


def _known_keys() -> list[str]:
    """Return the keys that a benchmark file may have."""
    return ["models", "datasets", "seeds", "controls", "observe", *(field.name for field in fields(Settings))]


def read_benchmark(path: Path) -> dict[str, Any]:
    """Read a benchmark file into plain values for `make_benchmark`; an error names the file and the line."""
    text = _text_of(path)
    if _LONG_KEY.search(text):
        raise InputError(f"{path}: a key has more than {MOST_PARTS} parts; write keys such as budget")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error
    except ValueError as error:  # Python reads no integer with more than a few thousand digits
        raise InputError(f"{path}: contains a whole number with too many digits") from error
    except RecursionError as error:
        raise InputError(f"{path}: not valid TOML: its values are nested too deeply") from error
    for key in values:
        try:
            make_benchmark({**_ALONE, key: values[key]})
        except InputError as error:
            raise InputError(f"{path}:{_line_of(key, text)}: {error}") from error
    return values


def _text_of(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # reading a pipe would block, and a device never ends
            raise InputError(f"{path}: not a regular file; give a benchmark file")
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise InputError(f"{path}: larger than {LARGEST_FILE >> 20} MB, too large for a benchmark file")
        return data.decode("utf-8-sig").replace("\r\n", "\n")  # some editors begin a file with a byte order mark
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # an encoding error, or a path with a zero byte
        raise InputError(f"{path}: not valid TOML: {error}") from error


def _line_of(key: str, text: str) -> int:
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[\].=]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def _model(value: Any) -> ModelSpec:
    if isinstance(value, ModelSpec):
        return value
    if isinstance(value, str):
        return ModelSpec.parse(_printable(value, "model"))
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return ModelSpec.of(
            _printable(value["name"], "model"), {key: option for key, option in value.items() if key != "name"}
        )
    raise InputError(f'models: {quoted(value)} is neither text such as "vae:beta=4" nor a table with a name')


def _printable(text: str, what: str) -> str:
    """Return `text` if it is printable, since it becomes part of the names of rows, files and records."""
    if not text.isprintable():
        raise InputError(f"{what} {quoted(text)} contains characters that cannot be shown; rename the file or value")
    return text


def _targets(value: Any) -> tuple[str, ...]:
    """Read `fd<5,recall>0.6`, or a list of such texts."""
    texts = [value] if isinstance(value, str) else _texts(value, "target")
    return tuple(dict.fromkeys(str(Target.parse(part)) for text in texts for part in text.split(",")))


def _listed(value: Any, key: str) -> Iterable[Any]:
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InputError(f"{key} must be a list, not {quoted(value)}")
    return value


def _texts(value: Any, key: str) -> list[str]:
    texts = list(_listed(value, key))
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{key} must be a list of names, not {quoted(value)}")
    return [_printable(text, key.removesuffix("s")) for text in dict.fromkeys(texts)]
