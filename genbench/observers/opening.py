"""Finds, imports and builds the observers that a benchmark requests, before anything is trained."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from genbench.config import ObserverSpec
from genbench.errors import GenbenchError, InputError, PluginError
from genbench.observers.telling import Teller
from genbench.plugin import options
from genbench.plugin.families import OBSERVER
from genbench.plugin.finding import find_brought, find_file
from genbench.plugin.loading import Plugin, load
from genbench.plugin.observer import Observer
from genbench.plugin.visible import wording
from genbench.records.identity import identity

__all__ = ["build_observer", "made", "opened"]


def build_observer(spec: ObserverSpec, allowed: Sequence[str] | None = None) -> Observer:
    """Return the observer that the user names.

    Args:
        spec: its name and options.
        allowed: the only distributions that it may come from; None for all.

    Raises:
        InputError: there is no such observer, it cannot be imported, or it refuses its options.
    """
    found = find_file(spec.name, OBSERVER, allowed) if spec.is_file else find_brought(OBSERVER, spec.name, allowed)
    before = dict(os.environ)
    try:
        return made(load(found), spec.options)
    except PluginError as error:  # the user has asked for it, so it is the request that cannot be met
        raise InputError(str(error)) from error
    finally:
        if os.environ != before:  # libraries set variables while they are imported, which processes of cells would have
            os.environ.clear()
            os.environ.update(before)


def made(plugin: Plugin, given: Mapping[str, Any]) -> Observer:
    """Return the observer that a plugin builds from the given options.

    Raises:
        InputError: it refuses them, or cannot be built.
    """
    try:
        built = options.call(plugin, given)
    except InputError:
        raise
    except GenbenchError as error:
        raise InputError(str(error)) from error
    except (Exception, SystemExit) as error:  # third-party code
        raise InputError(f"{plugin}: build_observer raised {wording(error)}") from error
    if not isinstance(built, Observer):
        raise InputError(f"{plugin}: build_observer returned {type(built).__name__}, expected a genbench.Observer")
    return built


def opened(specs: Sequence[ObserverSpec], allowed: Sequence[str] | None) -> list[Teller]:
    """Return a `Teller` for each observer."""
    return [Teller(str(spec), build_observer(spec, allowed), identity({"observer": str(spec)}, 8)) for spec in specs]
