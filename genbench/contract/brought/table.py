"""The families other than models that have their own contract."""

from __future__ import annotations

from genbench.contract.brought import dataset, extractor, metric, observer
from genbench.contract.brought.suite import Suite

__all__ = ["SUITES"]

SUITES: dict[str, Suite] = {
    suite.family.name: suite for suite in (dataset.SUITE, extractor.SUITE, metric.SUITE, observer.SUITE)
}
