"""Metrics that plugins bring: loaded by their hook, checked, guarded while they measure, identified by their code."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch

from genbench.errors import GenbenchError, InputError, PluginError
from genbench.kinds.nouns import NOUNS
from genbench.metrics.evidence import Evidence
from genbench.metrics.metric import Metric, Value
from genbench.metrics.not_measurable import NotMeasurable
from genbench.metrics.table import DIRECTIONS, METRICS
from genbench.plugin import finding
from genbench.plugin.families import METRIC
from genbench.plugin.guarding import guarded, load_guarded
from genbench.plugin.loading import Plugin
from genbench.plugin.visible import visible
from genbench.records.table_names import is_column

__all__ = ["PLUGIN", "definition", "load", "number_of"]

PLUGIN = "plugin"  # in a recipe: whose code gave the number
_OWN = ("directions", "summary", "paper", PLUGIN)  # what a recipe says of a metric that genbench does not know
_OF_RECIPES = ("metric", "metric_version", "dataset", "samples", "seed", "extractor", *_OWN)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NEEDS = {field.name for field in fields(Evidence) if not field.name.startswith("_")} - {"seed", "statistics"}


def load(name: str, plugins_from: Sequence[str] | None = None) -> Metric:
    """Load the metric that a plugin brings, ready to measure.

    Its parameters say in each recipe whose code it is, and what a report must know of a number that genbench has not.

    Args:
        name: of its entry point.
        plugins_from: distributions that it may come from; None for all.

    Raises:
        InputError: there is none of this name, it does not load, or does not define a metric.
    """
    found = finding.find_brought(METRIC, name, plugins_from, METRICS, "genbench metrics")
    try:
        provenance = found.provenance()
        plugin = load_guarded(found)
        metric = definition(plugin)
    except PluginError as error:
        raise InputError(str(error)) from error
    told = {
        "directions": {value.name: value.direction for value in metric.values},
        "summary": metric.summary,
        "paper": metric.paper,
        PLUGIN: finding.identity_line(provenance.code),
    }
    return replace(metric, parameters={**metric.parameters, **told}, function=_guarded(plugin, metric))


def definition(plugin: Plugin) -> Metric:
    """Return what the hook of a metric's plugin gives, checked.

    Raises:
        PluginError: it raises, or returns something that cannot be used as a metric.
    """
    with guarded(plugin, METRIC.hook):
        metric = getattr(plugin.hook, METRIC.hook)()
    fault = _fault(plugin.found.name, metric)
    if fault:
        raise PluginError(f"{plugin}: {METRIC.hook} {fault}")
    found: Metric = metric
    return found


def _fault(name: str, metric: object) -> str:
    """Return what is wrong with a metric, in words; empty where nothing is."""
    if not isinstance(metric, Metric):
        return f"returned {type(metric).__name__}, expected genbench.Metric"
    if metric.name != name:
        return f"gave a metric called {metric.name!r}, expected the name of its entry point, {name!r}"
    if not callable(metric.function):
        return f"gave the function {metric.function!r}, expected one that can be called"
    if not metric.values or not all(isinstance(value, Value) for value in metric.values):
        return "gave no values; name each number and its direction, as in Value('gap', 'lower')"
    if wrong := next(filter(None, map(_value_fault, metric.values)), ""):
        return wrong
    if len({value.name for value in metric.values}) < len(metric.values):
        return "gave two values of one name"
    if unknown := sorted(set(metric.needs) - _NEEDS) or ([] if metric.needs else ["nothing"]):
        return f"gave a metric that needs {', '.join(unknown)}; name fields of genbench.Evidence"
    if type(metric.least_count) is not int or metric.least_count < 1 or type(metric.version) is not int:
        return f"gave least_count {metric.least_count!r} and version {metric.version!r}, expected whole numbers from 1"
    if metric.kinds is not None and (not metric.kinds or not set(metric.kinds) <= set(NOUNS)):
        return f"gave kinds {metric.kinds!r}, expected some of {', '.join(NOUNS)}"
    for what, text in (("summary", metric.summary), ("paper", metric.paper)):
        if not isinstance(text, str) or not text.strip() or visible(text) != text:
            return f"gave {what} {text!r:.80}, expected one line of text"
    return _parameters_fault(metric.parameters)


def _value_fault(value: Value) -> str:
    if not _NAME.fullmatch(str(value.name)) or value.earned:
        return f"gave a value called {value.name!r}; use small letters, digits and underscores, and no earned names"
    if value.direction not in ("lower", "higher", None):
        return f"gave {value.name} the direction {value.direction!r}, expected 'lower', 'higher' or None"
    if value.name in DIRECTIONS:
        return f"gave a value called {value.name!r}, which is a number of genbench's own; choose another name"
    if is_column(value.name):
        return f"gave a value called {value.name!r}, which is a column of results.csv; choose another name"
    return ""


def _parameters_fault(parameters: Mapping[str, Any]) -> str:
    for name, value in parameters.items():
        if name in _OF_RECIPES:
            return f"gave a parameter called {name!r}, which a recipe has already"
        scalars = value if isinstance(value, list | tuple) else [value]
        if not all(each is None or isinstance(each, str | int | float | bool) for each in scalars):
            return f"gave parameter {name} = {value!r:.80}, expected a number, a text, or a list of them"
    return ""


def _guarded(plugin: Plugin, metric: Metric) -> Callable[[Evidence], dict[str, float]]:
    """Return the metric's function, whose faults are a number that is missing, and the reason."""

    def measure(evidence: Evidence) -> dict[str, float]:
        assert callable(metric.function)
        before = _versions(evidence)
        try:
            with guarded(plugin, "its function", (NotMeasurable, GenbenchError)), torch.no_grad():
                numbers = _numbers(metric, metric.function(evidence))
        except (PluginError, _WrongNumberError) as error:
            raise NotMeasurable(str(error)) from error
        finally:
            changed = [name for name, version in _versions(evidence).items() if before.get(name, version) != version]
            if changed:  # whatever is measured after it would be wrong
                raise PluginError(f"{plugin}: changed {', '.join(changed)} of its evidence; work on a copy")
        return numbers

    return measure


class _WrongNumberError(GenbenchError):
    """What a metric's function returned is not a set of its numbers."""


def _numbers(metric: Metric, given: object) -> dict[str, float]:
    if not isinstance(given, Mapping):
        raise _WrongNumberError(f"{metric.name}: returned {type(given).__name__}, expected a dict of numbers by name")
    known = {value.name for value in metric.values}
    if strange := [name for name in given if name not in known]:
        raise _WrongNumberError(f"{metric.name}: returned {strange[0]!r:.80}, which is none of its values")
    numbers = {}
    for name, value in given.items():
        try:
            numbers[name] = number_of(value)
        except (TypeError, ValueError, RuntimeError):
            found = type(value).__name__
            raise _WrongNumberError(f"{metric.name}: returned {found} for {name}, expected a number") from None
        if not math.isfinite(numbers[name]):
            raise _WrongNumberError(f"{metric.name}: returned {numbers[name]} for {name}, expected a finite number")
    return numbers


def number_of(value: Any) -> float:
    """Return what a metric's function returned for one of its values as a float, infinite if it is too large for one.

    Raises:
        TypeError, ValueError, RuntimeError: it is not a number.
    """
    if isinstance(value, str | bytes | bytearray):  # which float() would read
        raise TypeError(value)
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _versions(evidence: Evidence) -> dict[str, int]:
    """Return how often each tensor of the evidence has been written to, which torch counts."""
    tensors = {field.name: getattr(evidence, field.name) for field in fields(evidence)}
    return {name: value._version for name, value in tensors.items() if isinstance(value, torch.Tensor)}
