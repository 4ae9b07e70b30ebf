"""Finds, imports and builds the observers that a benchmark asks for, before anything is trained."""

from __future__ import annotations

import os
from collections.abc import Sequence

from genbench.config import ObserverSpec
from genbench.errors import GenbenchError, InputError
from genbench.observers.telling import Teller
from genbench.plugin import options
from genbench.plugin.families import OBSERVER
from genbench.plugin.finding import find_brought, find_file
from genbench.plugin.loading import load
from genbench.plugin.observer import Observer
from genbench.plugin.visible import wording
from genbench.records.identity import identity

__all__ = ["build_observer", "opened"]


def build_observer(spec: ObserverSpec, allowed: Sequence[str] | None = None) -> Observer:
    """Return the observer that the user names.

    Args:
        spec: its name and options.
        allowed: the only distributions that it may come from; None for all.

    Raises:
        InputError: there is none such, it cannot be imported, or it refuses its options.
    """
    found = find_file(spec.name, OBSERVER, allowed) if spec.is_file else find_brought(OBSERVER, spec.name, allowed)
    before = dict(os.environ)
    try:
        built = options.call(load(found), spec.options)
    except InputError:
        raise
    except GenbenchError as error:  # the user has asked for it, so it is the request that cannot be met
        raise InputError(str(error)) from error
    except Exception as error:  # a stranger's code
        raise InputError(f"{found}: build_observer raised {wording(error)}") from error
    finally:
        if os.environ != before:  # libraries set variables while they are imported, which processes of cells would have
            os.environ.clear()
            os.environ.update(before)
    if not isinstance(built, Observer):
        raise InputError(f"{found}: build_observer returned {type(built).__name__}, expected a genbench.Observer")
    return built


def opened(specs: Sequence[ObserverSpec], allowed: Sequence[str] | None) -> list[Teller]:
    """Return what tells each observer."""
    return [Teller(str(spec), build_observer(spec, allowed), identity({"observer": str(spec)}, 8)) for spec in specs]
