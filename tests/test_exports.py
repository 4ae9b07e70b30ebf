"""The public names are listed, documented and importable; no other name of the package is."""

from __future__ import annotations

import inspect

import pytest

import genbench


def test_the_public_names() -> None:
    assert sorted(set(genbench.__all__) - {"__version__"}) == [
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
    ]


@pytest.mark.parametrize("name", genbench.__all__)
def test_each_is_importable_and_documented(name: str) -> None:
    value = getattr(genbench, name)
    assert name == "__version__" or inspect.getdoc(value)
    assert name in dir(genbench)


def test_no_other_name_is_importable() -> None:
    with pytest.raises(AttributeError, match="module 'genbench' has no attribute 'missing'"):
        genbench.missing  # noqa: B018  # the access is the test
