"""A plugin's options: the keyword arguments of its own builder, checked before anything is built."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union

import pluggy

from genbench.errors import OptionError, Unsuitable, nearest, sentence
from genbench.plugin.data import Data, Training
from genbench.plugin.loading import Plugin
from genbench.plugin.visible import message_of

__all__ = ["accepted", "build", "call", "describe", "is_open", "reason_of"]


def accepted(plugin: Plugin) -> dict[str, inspect.Parameter] | None:
    """Return the options that the plugin's builder takes, by name, or None when its source does not show them.

    The builder is the callable to which the plugin's hook (`build_model` for a model) passes `**options`; without one,
    there are no options.
    """
    function = _hook_function(plugin)
    hints: dict[str, Any] = {}
    builder = _builder(function)
    if builder is None:
        return None if "options" in inspect.signature(function).parameters else {}
    signature = inspect.signature(builder)
    target = builder.__init__ if inspect.isclass(builder) else builder
    try:
        hints = typing.get_type_hints(target)
    except Exception:  # annotations are third-party code: one that cannot be resolved is simply not checked
        hints = {}
    return {
        name: parameter.replace(annotation=hints.get(name, parameter.annotation))
        for name, parameter in signature.parameters.items()
        if parameter.default is not parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }


def reason_of(unsuitable: Unsuitable) -> str:
    """Return a model's reason for not supporting the data, on one line that is never empty."""
    return message_of(unsuitable) or "it gives no reason"


def is_open(plugin: Plugin) -> bool:
    """Return whether the plugin's builder takes further options as `**name`, and refuses unknown ones itself."""
    builder = _builder(_hook_function(plugin))
    kinds = [] if builder is None else [each.kind for each in inspect.signature(builder).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds


def build(plugin: Plugin, data: Data, training: Training, options: Mapping[str, Any], device: Any) -> Any:
    """Call `build_model`, and turn a mistyped option into one line that names the model and its options.

    Raises:
        Unsuitable: the model does not support such data.
        OptionError: the model does not take an option, or a value has the wrong type or is out of its domain.
    """
    return call(plugin, options, data=data, training=training, device=device)


def call(plugin: Plugin, options: Mapping[str, Any], **arguments: Any) -> Any:
    """Check the options, then call the hook that builds what a plugin provides; for the errors, see `build`."""
    parameters = accepted(plugin)
    given = dict(options)
    if parameters is not None:
        _check(plugin, parameters, options)
        given = {name: _as_annotated(value, parameters.get(name)) for name, value in options.items()}
    try:
        return getattr(plugin.hook, plugin.found.family.hook)(options=given, **arguments)
    except TypeError as error:
        said = message_of(error)
        if "unexpected keyword argument" in said and any(repr(name) in said for name in options):
            raise OptionError(f"{plugin}: {said}") from error
        raise
    except ValueError as error:
        # A builder refuses a value out of its domain with ValueError; without options, the plugin itself is at fault.
        if options:
            raise OptionError(f"{plugin}: {message_of(error)}") from error
        raise


def _check(plugin: Plugin, parameters: Mapping[str, inspect.Parameter], options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name not in parameters and is_open(plugin):
            continue
        if name not in parameters:
            takes = ", ".join(describe(parameter) for parameter in parameters.values()) or "no options"
            close = nearest(name, parameters) if parameters else ""
            hint = close if close.startswith("; did") else ""
            raise OptionError(f"{plugin}: unknown option {name!r}{sentence(hint, f'it takes {takes}')}")
        annotation = parameters[name].annotation
        if annotation is not inspect.Parameter.empty and not _fits(value, annotation):
            raise OptionError(f"{plugin}: {_misfit(parameters[name], value)}")


def _misfit(parameter: inspect.Parameter, value: object) -> str:
    """Describe an option and the value that it cannot take; suggest a similar choice, if any."""
    choices = typing.get_args(parameter.annotation) if typing.get_origin(parameter.annotation) is Literal else ()
    close = nearest(str(value), [str(choice) for choice in choices])
    hint = close if close.startswith("; did") else ""
    return f"option {describe(parameter)} cannot be {value!r}{hint}"


def describe(parameter: inspect.Parameter) -> str:
    """Return `beta: float = 1.0`."""
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return f"{parameter.name} = {parameter.default!r}"
    return f"{parameter.name}: {type_text(annotation)} = {parameter.default!r}"


def type_text(annotation: Any) -> str:
    """Return an annotation as text, with a Literal as its choices."""
    if typing.get_origin(annotation) is Literal:
        return " | ".join(repr(choice) for choice in typing.get_args(annotation))
    return annotation.__name__ if inspect.isclass(annotation) else str(annotation)


def _fits(value: Any, annotation: Any) -> bool:
    """Return whether a value has the annotated type; types that a command line cannot express are accepted."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return value in typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(_fits(value, choice) for choice in typing.get_args(annotation))
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation in (bool, str):
        return isinstance(value, annotation)
    return value is None if annotation in (None, type(None)) else True


def _as_annotated(value: Any, parameter: inspect.Parameter | None) -> Any:
    """Return a whole number as a float if the option is one: for `beta1=0`, Adam would refuse betas of two types."""
    if parameter is None or type(value) is not int:
        return value
    annotation = parameter.annotation
    union = typing.get_origin(annotation) in (Union, types.UnionType)
    choices = typing.get_args(annotation) if union else (annotation,)
    if [choice for choice in choices if choice is not type(None)] != [float]:
        return value
    try:
        return float(value)
    except OverflowError:
        return value  # beyond every float: for the builder to refuse


def _hook_function(plugin: Plugin) -> Callable[..., Any]:
    hook: pluggy.HookCaller = getattr(plugin.hook, plugin.found.family.hook)
    function: Callable[..., Any] = hook.get_hookimpls()[0].function
    return function


def _builder(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """Find the callable that the hook's source calls with `**options`."""
    plain = inspect.unwrap(function)
    plain = getattr(plain, "__func__", plain)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(plain)))
    except (OSError, TypeError, SyntaxError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and any(
            keyword.arg is None and isinstance(keyword.value, ast.Name) and keyword.value.id == "options"
            for keyword in node.keywords
        ):
            target = _resolve(node.func, plain)
            return target if callable(target) else None
    return None


def _resolve(node: ast.expr, function: Callable[..., Any]) -> Any:
    if isinstance(node, ast.Name):
        closure = inspect.getclosurevars(function)
        return closure.nonlocals.get(node.id, closure.globals.get(node.id))
    if isinstance(node, ast.Attribute):
        return getattr(_resolve(node.value, function), node.attr, None)
    return None
