"""Loads one plugin, and verifies that it implements the required hooks."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from genbench.errors import PluginError
from genbench.plugin import hookspecs
from genbench.plugin.families import FAMILIES, MODEL, OBSERVER, Family
from genbench.plugin.finding import Found
from genbench.plugin.visible import wording

__all__ = ["Plugin", "hook_names", "load"]


class Plugin:
    """One loaded plugin, in a separate plugin manager, verified to implement the required hooks of its family.

    pluggy has two silent traps: with two plugins registered, a first-result hook uses the last one, and a hook without
    an implementation returns None. Both are ruled out here, once, at load time.
    """

    def __init__(self, found: Found, implementation: object) -> None:
        self.found = found
        self.implementation = implementation
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(implementation, name=found.name)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            if renamed := _of_the_first_contract(implementation):
                raise PluginError(f"{found}: {renamed}") from error
            raise PluginError(f"{found}: {_on_one_line(error)}") from error
        self.hook = manager.hook
        self._implemented = {
            name: impls[0].argnames
            for name in hook_names(found.family)
            if (impls := getattr(manager.hook, name).get_hookimpls())
        }
        required = hookspecs.REQUIRED_HOOKS if found.family is MODEL else (found.family.hook,)
        missing = [name for name in required if not self.implements(name)]
        if missing:
            raise PluginError(
                f"{found}: does not implement {', '.join(missing)}; write the function and mark it @genbench.hookimpl"
            )

    def implements(self, hook: str, argument: str | None = None) -> bool:
        """Return whether the plugin has the hook, and, if given, whether its implementation takes the argument."""
        return hook in self._implemented and (argument is None or argument in self._implemented[hook])

    def function(self, hook: str) -> Callable[..., Any]:
        """Return a function that calls a hook of the plugin like `self.hook`, with less overhead, for tight loops."""
        called: pluggy.HookCaller = getattr(self.hook, hook)
        only = called.get_hookimpls()[0]
        if only.wrapper or only.hookwrapper:
            return called
        names, function = only.argnames, only.function
        return lambda **arguments: function(*[arguments[name] for name in names])

    def __str__(self) -> str:
        return str(self.found)


def hook_names(family: Family = MODEL) -> list[str]:
    """Return the names of the hooks of a family, in the order of `hookspecs`."""
    if family is not MODEL:
        return [family.hook]
    others = {each.hook for each in FAMILIES.values() if each is not MODEL}
    return [name for name, value in vars(hookspecs).items() if hasattr(value, "genbench_spec") and name not in others]


def load(found: Found) -> Plugin:
    """Import the plugin and verify it; raise a one-line `PluginError` for any exception during its import."""
    if found.family is not OBSERVER:  # observers are loaded in the process that shows progress, without torch
        from genbench.machine.torchvision_import import declare_missing_operators

        declare_missing_operators()  # a plugin, or a library that it wraps, may import torchvision
    try:
        if found.file is not None:
            implementation: object = _import_file(found.file)
        else:
            implementation = importlib.metadata.EntryPoint(found.name, found.target, found.family.group).load()
    except (Exception, SystemExit) as error:  # a third-party module can raise anything during import
        raise PluginError(f"{found}: import failed: {wording(error)}") from error
    return Plugin(found, implementation)


def _import_file(path: Path) -> ModuleType:
    name = f"genbench_file_{path.stem}"
    _search_first(path.parent)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look up their module here
    spec.loader.exec_module(module)
    return module


def _search_first(folder: Path) -> None:
    """Let a model file import its neighbours, as with `python FILE`; namesakes from other models are dropped.

    The folder stays on the path, since hooks may also import.
    """
    others = _model_folders - {folder}
    neighbours = {entry.stem for entry in folder.iterdir() if entry.suffix == ".py" or entry.is_dir()} if others else ()
    for name in [name for name in sys.modules if name.partition(".")[0] in neighbours]:
        file = getattr(sys.modules[name], "__file__", None)
        if isinstance(file, str) and any(Path(file).is_relative_to(other) for other in others):
            del sys.modules[name]
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry != str(folder))]
    _model_folders.add(folder)


_model_folders: set[Path] = set()  # of the model files loaded by this process


# Arguments of hooks in the first contract, and their replacements.
_RENAMED = {"image_shape": "data.shape (take `data`)", "classes": "data.classes (take `data`)", "images": "batch"}


def _of_the_first_contract(implementation: object) -> str:
    """Return the new names of arguments from the first contract; empty for a plugin that takes none of them."""
    said = []
    for hook in hook_names():
        function = getattr(implementation, hook, None)
        taken = inspect.signature(function).parameters if callable(function) else {}
        said += [f"{name} of {hook} is now {_RENAMED[name]}" for name in taken if name in _RENAMED]
    return f"is written for the first contract: {', '.join(said)}" if said else ""


def _on_one_line(error: pluggy.PluginValidationError) -> str:
    # pluggy spreads its message over several lines, with the fault in the last non-empty one.
    return " ".join(str(error).split())
