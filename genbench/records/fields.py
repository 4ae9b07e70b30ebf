"""What each field of a record may contain. Checked once, on reading, so that all users of records can rely on it."""

from __future__ import annotations

import functools
import marshal
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from genbench.config.target import Target
from genbench.errors import InputError

__all__ = ["LARGEST", "SMALLEST", "fault", "is_cell_id", "is_valid_apart"]

DEEPEST = 20  # levels of nesting; genbench writes six
LONGEST_NAME = 200  # characters in one component of a path
STATUSES = ("finished", "failed", "not applicable")
SMALLEST, LARGEST = 1e-100, 1e100  # of counts and times: the squares of these are still finite numbers


def is_cell_id(value: object) -> bool:
    """Return whether a value is a cell's identity as genbench writes it: 16 hexadecimal digits.

    >>> is_cell_id("018f149166661538"), is_cell_id("../../victim")
    (True, False)
    """
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{16}", value) is not None


def fault(record: Mapping[str, Any]) -> str:
    """Return the first field that is unusable, and what it should be; empty where there is none."""
    return next(_faults(record), "")


class _Kind(NamedTuple):
    words: str
    holds: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    """Whether a value is a number that fits a float; NaN and infinity count, booleans do not."""
    return type(value) is float or (type(value) is int and abs(value) <= sys.float_info.max)


def _is_amount(value: Any) -> bool:
    return value is None or (_is_number(value) and (value == 0 or SMALLEST <= value <= LARGEST))


_SIMPLE = frozenset({str, float, bool, type(None)})


def _is_plain(value: Any) -> bool:
    if type(value) in _SIMPLE:  # the most common case
        return True
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list) and _is_plain(value)


_USUAL_PATH = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_. ,-]{0,150}/){0,4}[A-Za-z0-9_-][A-Za-z0-9_. ,-]{0,150}")


def _is_artifact(value: Any) -> bool:
    """Whether a value is the path of a file below the benchmark's folder, on every system."""
    if not isinstance(value, str) or re.search(r"[\0\\:]", value):
        return False
    if _USUAL_PATH.fullmatch(value):
        return True
    path = PurePosixPath(value)
    fits = all(len(part.encode()) <= LONGEST_NAME for part in path.parts) and 0 < len(path.parts) < DEEPEST
    return fits and not path.is_absolute() and ".." not in path.parts


def _is_cost(name: str, value: Any) -> bool:
    if name.endswith("_per_s") and value is not None:  # over windows: median and percentiles
        return isinstance(value, dict) and "median" in value and all(map(_is_amount, value.values()))
    if name == "metric_s":
        return isinstance(value, dict) and all(map(_is_amount, value.values()))
    if name == "flops_counted":  # in words, how they were counted
        return isinstance(value, str)
    return isinstance(value, bool) or _is_amount(value)


def _is_plugin(value: Any) -> bool:
    """Where a plugin came from, and the files that it read beyond its identity, by name with their hashes."""
    if not isinstance(value, dict):
        return False
    also_read = value.get("also_read", {})
    plain = all(_is_scalar(each) for name, each in value.items() if name != "also_read")
    return plain and isinstance(also_read, dict) and all(isinstance(each, str) for each in also_read.values())


def _is_target(value: Any) -> bool:
    try:
        return bool(str(Target.parse(value)) == value)
    except InputError:
        return False


_OF_POINT = frozenset({"step", "items", "elapsed_s", "flops", "losses", "numbers"})
_USUAL = frozenset({float, type(None)})
_NONE: dict[str, Any] = {}


def _is_usual(curve: Any) -> bool:
    """Whether a curve is as genbench writes them: then it is valid and not deep.

    Most of a record is its curve, so the usual case is recognised in as few steps as possible.
    """
    if type(curve) is not list:
        return False
    for point in curve:
        if type(point) is not dict or not _OF_POINT.issuperset(point):
            return False
        for name in ("step", "items", "elapsed_s", "flops"):
            value = point.get(name)
            if value is None:
                continue
            kind = type(value)
            if not ((kind is float or kind is int) and (value == 0 or SMALLEST <= value <= LARGEST)):
                return False
        for name in ("losses", "numbers"):
            values = point.get(name, _NONE)
            if type(values) is not dict or not _USUAL.issuperset(map(type, values.values())):
                return False
    return True


def _is_point(point: Any) -> bool:
    if not isinstance(point, dict):
        return False
    if not all(_is_amount(point.get(name)) for name in ("step", "items", "elapsed_s", "flops")):
        return False
    named = (point.get("losses", {}), point.get("numbers", {}))
    return all(isinstance(values, dict) and all(map(_is_optional_number, values.values())) for values in named)


def _is_optional_number(value: Any) -> bool:
    return value is None or _is_number(value)


def _optional(kind: _Kind) -> _Kind:
    return _Kind(f"{kind.words} or null", lambda value: value is None or kind.holds(value))


def _each(kind: _Kind) -> _Kind:
    return _Kind(
        f"a mapping to {kind.words}", lambda value: isinstance(value, dict) and all(map(kind.holds, value.values()))
    )


def _remembered(kind: _Kind) -> _Kind:
    @functools.lru_cache(maxsize=256)
    def holds(content: bytes) -> bool:
        return kind.holds(marshal.loads(content))

    return _Kind(kind.words, lambda value: holds(marshal.dumps(value, 2)))


_TEXT = _Kind("text", lambda value: isinstance(value, str))
_FLAG = _Kind("true or false", lambda value: isinstance(value, bool))
_COUNT = _Kind("a whole number from 0", lambda value: type(value) is int and 0 <= value <= LARGEST)
_NUMBER = _Kind("a number", _is_number)
_PLAIN = _Kind("a plain value", _is_plain)
_MAPPING = _Kind("a mapping", lambda value: isinstance(value, dict) and _is_plain(value))
_TEXTS = _each(_optional(_TEXT))

_NEEDED: dict[str, dict[str, _Kind]] = {
    "": {
        "id": _Kind("16 hexadecimal digits", is_cell_id),
        "status": _Kind("finished, failed or not applicable", lambda value: value in STATUSES),
        "cell": _Kind("a mapping", lambda value: isinstance(value, dict)),  # its fields are checked below
        "numbers": _Kind("a mapping", lambda value: isinstance(value, dict)),  # each is checked below
        "recipes": _remembered(_each(_MAPPING)),  # the same in most records of a folder
        "cost": _Kind(
            "a mapping to amounts",
            lambda value: isinstance(value, dict) and all(_is_cost(*item) for item in value.items()),
        ),
        "environment": _remembered(_each(_Kind("plain values", _is_scalar))),
        "curve": _Kind("a list of points", lambda value: isinstance(value, list) and all(map(_is_point, value))),
    },
    "cell": {
        **dict.fromkeys(("model", "label"), _TEXT),
        "role": _Kind("model or control", lambda value: value in ("model", "control")),
        "seed": _COUNT,
        "dataset": _MAPPING,
    },
    "dataset": {"name": _TEXT},
    "number": {"value": _optional(_NUMBER), "recipe": _TEXT},
}
_ALLOWED: dict[str, dict[str, _Kind]] = {
    "": {
        **dict.fromkeys(("command", "started_at", "finished_at", "unsuitable"), _optional(_TEXT)),
        "artifacts": _optional(_each(_Kind("paths inside its folder", _is_artifact))),
        **dict.fromkeys(("not_measured", "failure"), _optional(_TEXTS)),
        "older": _Kind("left out", lambda value: False),  # a name that reports use (`report.merging`)
    },
    "cell": {
        **dict.fromkeys(("summary", "budget", "training_precision", "device"), _optional(_TEXT)),
        **dict.fromkeys(("batch_size", "evaluations", "samples", "ranks"), _optional(_COUNT)),
        **dict.fromkeys(("compile", "cuda_graph"), _optional(_FLAG)),
        **dict.fromkeys(("options", "extractor", "metrics"), _optional(_MAPPING)),
        "stop_at_target": _Kind(
            "a list of targets", lambda value: isinstance(value, list) and all(map(_is_target, value))
        ),
        "plugin": _optional(_Kind("plain values", _is_plugin)),
    },
    "dataset": {
        **dict.fromkeys(("kind", "fingerprint", "licence"), _optional(_TEXT)),
        **dict.fromkeys(("classes", "train_count", "held_out_count"), _optional(_COUNT)),
        "shape": _optional(
            _Kind("a list of sides", lambda value: isinstance(value, list) and all(map(_COUNT.holds, value)))
        ),
    },
    "number": {"standard_error": _optional(_NUMBER)},
    "environment": {
        "jobs": _COUNT,
        **dict.fromkeys(("memory_bytes", "cores", "threads"), _Kind("an amount", _is_amount)),
    },
}


def is_valid_apart(record: Mapping[str, Any]) -> bool:
    """Return whether the parts that are a record's own are valid: its seed, costs, artifacts and failure."""
    needed, allowed = _NEEDED[""], _ALLOWED[""]
    return (
        is_cell_id(record["id"])
        and _COUNT.holds(record["cell"]["seed"])
        and needed["cost"].holds(record["cost"])
        and all(allowed[name].holds(record.get(name)) for name in ("artifacts", "failure"))
    )


def _faults(record: Mapping[str, Any]) -> Iterator[str]:
    # A usual curve is valid and need not be checked further.
    rest = {**record, "curve": []} if _is_usual(record.get("curve")) else record
    if _is_deep(rest, DEEPEST):
        yield f"it is nested deeper than {DEEPEST} levels"
    yield from _of("", "", rest)
    cell = record["cell"]
    # Cells mostly differ only in their seeds; without it, the cached result applies.
    alike = {**cell, "seed": 0} if _COUNT.holds(cell.get("seed")) else cell
    yield from _known("cell", "cell.", marshal.dumps(alike, 2))
    yield from _known("dataset", "cell.dataset.", marshal.dumps(cell["dataset"], 2))
    yield from _known("environment", "environment.", marshal.dumps(record["environment"], 2))
    for name, number in record["numbers"].items():
        if not isinstance(number, dict):
            yield f"{_shown(f'numbers.{name}')} is not a mapping"
        if not _is_usual_number(number):
            yield from _of("number", f"numbers.{name}.", number)
        if number["recipe"] not in record["recipes"]:
            yield f"{_shown(f'numbers.{name}')} has a recipe that the record does not contain"


_OF_NUMBER = frozenset({"value", "recipe", "standard_error"})


def _is_usual_number(number: Any) -> bool:
    """Whether a number is as genbench writes them, and therefore valid."""
    if type(number) is not dict:
        return False
    kinds = type(number.get("value")), type(number.get("recipe")), type(number.get("standard_error"))
    return kinds[0] is float and kinds[1] is str and kinds[2] in _USUAL and _OF_NUMBER.issuperset(number)


@functools.lru_cache(maxsize=1024)  # most records of a folder have the same data, machine and settings
def _known(part: str, where: str, content: bytes) -> tuple[str, ...]:
    return tuple(_of(part, where, marshal.loads(content)))


def _of(part: str, where: str, fields: Mapping[str, Any]) -> Iterator[str]:
    needed, allowed = _NEEDED.get(part, {}), _ALLOWED.get(part, {})
    for name in needed:
        if name not in fields:
            yield f"{_shown(where + name)} is missing"
    for name, value in fields.items():
        kind = needed.get(name) or allowed.get(name, _PLAIN)
        if not kind.holds(value):
            yield f"{_shown(where + name)} is not {kind.words}"


def _is_deep(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [
            one
            for outer in level
            for one in (outer.values() if type(outer) is dict else outer)
            if type(one) is dict or type(one) is list
        ]
        if not level:
            return False
    return True


def _shown(path: str) -> str:
    return repr(path[:80])
