"""Distances of the samples' features from the data's, in mean and in spread."""

from __future__ import annotations

from genbench import Evidence, Metric, Value, hookimpl


@hookimpl
def define_metric() -> Metric:
    return METRIC


def measure(evidence: Evidence) -> dict[str, float]:
    """Return both distances; `samples` is (M, D) float32, `reference` is (N, D)."""
    samples, reference = evidence.samples.double(), evidence.reference.double()
    means = samples.mean(0) - reference.mean(0)
    spreads = samples.std(0) - reference.std(0)
    return {
        "my_metric_mean": means.norm().item(),
        "my_metric_spread": spreads.norm().item(),
    }


METRIC = Metric(
    name="my-metric",
    values=(
        Value("my_metric_mean", "lower"),
        Value("my_metric_spread", "lower"),
    ),
    needs=("samples", "reference"),
    least_count=2,  # a standard deviation needs two
    function=measure,
    summary="distance of the means of features, and of their standard deviations",
    paper="your paper or page",
)
