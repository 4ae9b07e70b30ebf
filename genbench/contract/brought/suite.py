"""`Suite`: the checks of one family of plugins, and `Trial`: what they examine."""

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
    """One plugin under test, with what all checks share. A family adds what its own checks examine.

    Args:
        plugin: as loaded.
        given: options from the user.
    """

    def __init__(self, plugin: Plugin, given: Mapping[str, Any]) -> None:
        self.plugin = plugin
        self.given = dict(given)

    @property
    def home(self) -> str:
        """The location of the plugin's source, to identify its lines in a traceback."""
        root = self.plugin.found.root()
        return "" if root is None else str(root)


@dataclass(frozen=True)
class Suite:
    """The checks of one family.

    Args:
        family: of the plugins.
        checks: in the order in which they are listed; `LOADS` first.
        trial: creates what they examine from a loaded plugin and the user's options.
        parse: parses a plugin's name with its options, as the user writes it.
    """

    family: Family
    checks: tuple[Check, ...]
    trial: Callable[[Plugin, Mapping[str, Any]], Trial]
    parse: Callable[[str], ModelSpec | ObserverSpec] = ModelSpec.parse


def loads(trial: Trial) -> None:
    """The module imports, has its hook and changes no global state."""


def docstring(trial: Trial) -> None:
    """The module's docstring begins with a line that describes what it provides."""
    module.docstring(trial)


def stir() -> None:
    """Advance every global random generator, so that subsequent draws differ from earlier ones."""
    random.seed(random.getrandbits(32) + 1)
    np.random.seed(np.random.randint(2**31) ^ 1)
    torch.manual_seed(torch.initial_seed() % 2**31 + 1)


# The plugin is loaded before any check runs, so the first check has nothing left to do.
LOADS = (
    Check("loads", loads, needs=(), once=True),
    Check("docstring", docstring, needs=("loads",), once=True),
)
