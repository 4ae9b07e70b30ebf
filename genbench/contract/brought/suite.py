"""`Suite`: the checks of one family of plugins, and `Trial`, what they look at."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from genbench.config import ModelSpec, ObserverSpec
from genbench.contract.check import Check
from genbench.contract.checks import module
from genbench.plugin.families import Family
from genbench.plugin.loading import Plugin

__all__ = ["LOADS", "Suite", "Trial", "stir"]


class Trial:
    """One plugin under its checks: what they share. A family adds what its own checks look at.

    Args:
        plugin: as it was loaded.
        given: options that the user gave.
    """

    def __init__(self, plugin: Plugin, given: Mapping[str, Any]) -> None:
        self.plugin = plugin
        self.given = dict(given)

    @property
    def home(self) -> str:
        """Where the plugin's source lies, to tell its lines in a traceback from others'."""
        root = self.plugin.found.root()
        return "" if root is None else str(root)


@dataclass(frozen=True)
class Suite:
    """The checks of one family.

    Args:
        family: of the plugins.
        checks: in the order in which they are listed; `LOADS` first.
        trial: makes what they look at of a loaded plugin and the options that the user gave.
        parse: reads how the user names one, with its options.
    """

    family: Family
    checks: tuple[Check, ...]
    trial: Callable[[Plugin, Mapping[str, Any]], Trial]
    parse: Callable[[str], ModelSpec | ObserverSpec] = ModelSpec.parse


def loads(trial: Trial) -> None:
    """The module imports, has its hook and changes no global state."""


def docstring(trial: Trial) -> None:
    """The module's docstring begins with a line that says what it brings."""
    module.docstring(trial)


def stir() -> None:
    """Move every global random generator, so that what is drawn from one differs from what was drawn before."""
    random.seed(random.getrandbits(32) + 1)
    np.random.seed(np.random.randint(2**31) ^ 1)
    torch.manual_seed(torch.initial_seed() % 2**31 + 1)


# The engine loads the plugin before any check, so the first one has nothing left to do.
LOADS = (
    Check("loads", loads, needs=(), once=True),
    Check("docstring", docstring, needs=("loads",), once=True),
)
