"""The contract of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genbench.contract.brought.suite import LOADS, Suite, Trial
from genbench.contract.check import Check
from genbench.contract.fault import Fault
from genbench.errors import PluginError
from genbench.evaluation.brought import definition
from genbench.metrics.metric import Metric
from genbench.plugin.families import METRIC
from genbench.plugin.loading import Plugin

__all__ = ["SUITE"]

HOOK = METRIC.hook


class MetricTrial(Trial):
    """A metric under its checks."""

    def __init__(self, plugin: Plugin, given: Mapping[str, Any]) -> None:
        super().__init__(plugin, given)
        self._metric: Metric | None = None

    @property
    def metric(self) -> Metric:
        """What the hook defines; raise `Fault` where that is no metric."""
        if self._metric is None:
            try:
                self._metric = definition(self.plugin)
            except PluginError as error:
                said = str(error).removeprefix(f"{self.plugin}: ")
                raise Fault(
                    f"{HOOK} to return a sound genbench.Metric", f"this: {said}", "see the docstring of Metric"
                ) from error
        return self._metric


def defines(trial: MetricTrial) -> None:
    """`define_metric` gives names, directions, needs, a least count, a summary, a source and a function."""
    assert trial.metric


SUITE = Suite(METRIC, (*LOADS, Check("defines", defines, needs=("loads",), once=True)), MetricTrial)
