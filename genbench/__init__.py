"""genbench: train generative models, which are plugins, on equal budgets, and report traceable numbers.

The public names are listed in `__all__` and loaded on first use, so `import genbench` costs almost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genbench.api import Report as Report
    from genbench.api import run as run
    from genbench.config import Benchmark as Benchmark
    from genbench.config import Budget as Budget
    from genbench.datasets.splits import Splits as Splits
    from genbench.errors import GenbenchError as GenbenchError
    from genbench.errors import Unsuitable as Unsuitable
    from genbench.metrics.evidence import Evidence as Evidence
    from genbench.metrics.metric import Metric as Metric
    from genbench.metrics.metric import Value as Value
    from genbench.metrics.not_measurable import NotMeasurable as NotMeasurable
    from genbench.plugin.data import Data as Data
    from genbench.plugin.data import Training as Training
    from genbench.plugin.hookspecs import hookimpl as hookimpl
    from genbench.plugin.model import Model as Model
    from genbench.plugin.observer import Held as Held
    from genbench.plugin.observer import ObservedBenchmark as ObservedBenchmark
    from genbench.plugin.observer import ObservedCell as ObservedCell
    from genbench.plugin.observer import ObservedEnd as ObservedEnd
    from genbench.plugin.observer import ObservedPoint as ObservedPoint
    from genbench.plugin.observer import Observer as Observer
    from genbench.records.record import Record as Record
    from genbench.report.frame import load_records as load_records

    __version__: str

_HOMES = {
    "Benchmark": "genbench.config",
    "Budget": "genbench.config",
    "GenbenchError": "genbench.errors",
    "Data": "genbench.plugin.data",
    "Evidence": "genbench.metrics.evidence",
    "Held": "genbench.plugin.observer",
    "Metric": "genbench.metrics.metric",
    "Model": "genbench.plugin.model",
    "NotMeasurable": "genbench.metrics.not_measurable",
    "ObservedBenchmark": "genbench.plugin.observer",
    "ObservedCell": "genbench.plugin.observer",
    "ObservedEnd": "genbench.plugin.observer",
    "ObservedPoint": "genbench.plugin.observer",
    "Observer": "genbench.plugin.observer",
    "Record": "genbench.records.record",
    "Report": "genbench.api",
    "Splits": "genbench.datasets.splits",
    "Training": "genbench.plugin.data",
    "Unsuitable": "genbench.errors",
    "Value": "genbench.metrics.metric",
    "hookimpl": "genbench.plugin.hookspecs",
    "load_records": "genbench.report.frame",
    "run": "genbench.api",
}

__all__ = [
    "Benchmark",
    "Budget",
    "Data",
    "Evidence",
    "GenbenchError",
    "Held",
    "Metric",
    "Model",
    "NotMeasurable",
    "ObservedBenchmark",
    "ObservedCell",
    "ObservedEnd",
    "ObservedPoint",
    "Observer",
    "Record",
    "Report",
    "Splits",
    "Training",
    "Unsuitable",
    "Value",
    "hookimpl",
    "load_records",
    "run",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("genbench")
    if name not in _HOMES:
        raise AttributeError(f"module 'genbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
