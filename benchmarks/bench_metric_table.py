"""Every metric of the table at realistic sizes, as an evaluation calls it: `pytest benchmarks/bench_metric_table.py`.

Work that metrics share (the data's statistics, the sweeps over pairs) counts towards each metric that uses it, as for
the first metric of a model. `GENBENCH_BENCH_SAMPLES` (2000) sets the samples, `GENBENCH_BENCH_DIMENSION` (512) their
features.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
import torch

from genbench.metrics import METRICS, Evidence, ReferenceStatistics
from genbench.metrics.not_measurable import NotMeasurable
from genbench.regression import workload

SAMPLES = int(os.environ.get("GENBENCH_BENCH_SAMPLES", "2000"))
DIMENSION = int(os.environ.get("GENBENCH_BENCH_DIMENSION", "512"))
SHAPE = (1, 28, 28)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """Random features, logits, images and labels: the cost of a metric does not depend on their values."""
    draw = torch.Generator().manual_seed(0)
    features = [torch.randn(SAMPLES, DIMENSION, generator=draw) for _ in range(3)]
    logits = [torch.randn(SAMPLES, workload.CLASSES, generator=draw) for _ in range(3)]
    split = workload.random_split(SHAPE, SAMPLES)
    sides = ("sample", "reference", "held_out")
    return Evidence(
        samples=features[0],
        reference=features[1],
        held_out=features[2],
        **{f"{side}_logits": one for side, one in zip(sides, logits, strict=True)},
        **{f"{side}_items": split.items for side in sides},
        **{f"{side}_labels": split.labels for side in sides},
        sample_modes=split.labels,
        mode_count=workload.CLASSES,
        originals=split.items[:500],
        reconstructions=split.items[:500].flip(0),
        log_likelihoods=torch.randn(SAMPLES, generator=draw),
        dimensions=torch.Size(SHAPE).numel(),
    )


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if "image" in (metric.kinds or ("image",))])
def test_metric(timed: Callable[..., None], name: str, evidence: Evidence) -> None:
    def compute() -> None:
        # Created anew, so that nothing is kept from the previous round.
        METRICS[name].compute(replace(evidence, statistics=cast("ReferenceStatistics", None)))

    try:
        timed(compute, rounds=2, images=SAMPLES)
    except NotMeasurable as why:
        pytest.skip(str(why))
