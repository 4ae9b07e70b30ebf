"""What a plugin needs before it builds anything: a documented module that imports and whose options can be listed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Protocol

from genbench.contract.case import Subject
from genbench.contract.fault import Fault, Refused
from genbench.errors import OptionError, PluginError
from genbench.plugin import loading, options, world
from genbench.plugin.finding import Found
from genbench.plugin.loading import Plugin

__all__ = ["check_annotations", "docstring", "load", "takes_options"]


class _Loaded(Protocol):
    plugin: Plugin


def load(found: Found) -> Plugin:
    """Import the plugin; verify its hooks, and that the import changes no global state."""
    before = world.snapshot()
    with world.kept():
        try:
            with world.importing():
                plugin = loading.load(found)
        except PluginError as error:
            raise Fault("a plugin that loads", f"this: {error}", "fix the reported error") from error
        changed = world.changes(before, world.snapshot())
    # Libraries set their own variables when first imported, which is not the plugin's fault.
    changed = [change for change in changed if not change.startswith("the environment")]
    if changed:
        raise Fault(
            "the import to leave global state alone",
            f"that it changed {'; '.join(changed)}",
            "move it out of the module's top level",
        )
    return plugin


def docstring(subject: _Loaded) -> None:
    """The module's docstring begins with a line that describes the model.

    The line appears in lists and reports.
    """
    if not subject.plugin.found.summary():
        path = subject.plugin.found.path
        raise Fault(
            f"a docstring whose first line describes the {subject.plugin.found.family.name}",
            "none",
            f'begin {path.name if path else "the module"} with """..."""',
        )


def takes_options(subject: Subject) -> None:
    """The builder's signature lists the options, each with a type and a matching default."""
    accepted = options.accepted(subject.plugin)
    if accepted is None:
        raise Fault(
            "build_model to pass **options to a builder with named, annotated arguments",
            "a build_model whose source does not",
            "write `return build(data.shape, device, **options)`, where `def build(..., width: int = 256)`",
        )
    check_annotations(accepted)
    defaults = {name: subject.given.get(name, parameter.default) for name, parameter in accepted.items()}
    try:
        subject.build(given=defaults)
    except Refused as refusal:
        if isinstance(fault := refusal.__cause__, OptionError) and fault.__cause__ is None:
            raise Fault(
                "defaults of the annotated types", str(fault), "change the annotation or the default"
            ) from fault
        raise


def check_annotations(accepted: Mapping[str, inspect.Parameter]) -> None:
    """Raise `Fault` unless every option of a builder has a type that Python can evaluate."""
    for parameter in accepted.values():
        if parameter.annotation is inspect.Parameter.empty:
            raise Fault(
                "a type for each option",
                f"`{options.describe(parameter)}` without one",
                f"write `{parameter.name}: {type(parameter.default).__name__} = {parameter.default!r}`",
            )
        if isinstance(parameter.annotation, str):
            raise Fault(
                "annotations that Python can evaluate",
                f"{parameter.annotation!r} of option {parameter.name!r}",
                "import the names that the builder's annotations use outside of TYPE_CHECKING too",
            )
