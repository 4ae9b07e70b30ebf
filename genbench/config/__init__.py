"""The user's request: `Benchmark`, its cells, and `Budget`; read from TOML or from flags."""

from __future__ import annotations

from genbench.config.benchmark import CONTROL_KINDS, CONTROLS, Benchmark, Cell
from genbench.config.budget import Budget
from genbench.config.model_spec import ModelSpec
from genbench.config.observer_spec import ObserverSpec
from genbench.config.reading import make_benchmark, read_benchmark
from genbench.config.settings import Settings
from genbench.config.target import Target

__all__ = [
    "CONTROLS",
    "CONTROL_KINDS",
    "Benchmark",
    "Budget",
    "Cell",
    "ModelSpec",
    "ObserverSpec",
    "Settings",
    "Target",
    "make_benchmark",
    "read_benchmark",
]
