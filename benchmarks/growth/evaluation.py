"""Seconds and memory of the whole metric suite against the number of images N and the dimension d of their features."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import growth_law
import isolation
import pandas as pd
import torch
from parts import Parts, repeated

from genbench.evaluation.selection import select
from genbench.metrics.evidence import Evidence
from genbench.metrics.not_measurable import NotMeasurable
from genbench.metrics.standard_errors import standard_error
from genbench.regression import workload

__all__ = ["QUICK", "SETTINGS", "Size", "measure"]

HELD_OUT = 5  # one held-out image for this many of the training split, as in CIFAR-10
ENOUGH_S = 3.0
PAIRS = "pairs: KID, precision, recall, density, coverage, copies"
FRECHET = "Fréchet distances"
INFINITY = "fd_infinity"
IMAGES = "pixels and MS-SSIM"
SCORES = "classifier scores"
PART_OF = {
    "frechet_distance": FRECHET,
    "frechet_diagnostics": FRECHET,
    "frechet_gap": FRECHET,
    "frechet_infinity": INFINITY,
    "classifier_score": SCORES,
    "class_coverage": SCORES,
    "pixel_statistics": IMAGES,
    "within_class_similarity": IMAGES,
}
"""Metrics grouped together in the figure; every other metric reads the sweeps over pairs."""


@dataclass(frozen=True)
class Size:
    """The extent of the measurement: images per side, features per image, image shape, and repeats of small points."""

    counts: tuple[int, ...] = (1000, 2000, 5000, 10_000, 20_000, 50_000)
    dimensions: tuple[int, ...] = (64, 512, 2048)
    shape: tuple[int, int, int] = (3, 32, 32)
    repeats: int = 3


SETTINGS = Size()
QUICK = Size(counts=(100, 200), dimensions=(8,), shape=(1, 8, 8), repeats=1)


def measure(size: Size, limit_s: float) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per point, repeat and part, and a line about each point that was left out.

    Args:
        size: the points.
        limit_s: a point is left out if, at the growth so far, it would exceed this; so are larger ones.
    """
    importlib.import_module("genbench.metrics.torchmetrics_import")  # takes seconds, which belong to no point
    rows: list[dict[str, Any]] = []
    left_out: list[str] = []
    for dimension in size.dimensions:
        known: list[tuple[int, float]] = []
        for count in size.counts:
            if why := growth_law.passes(known, count, limit_s):
                left_out.append(f"N = {count:,}, d = {dimension}: {why}")
                print(f"evaluation: left out {left_out[-1]}", flush=True)
                continue
            found = isolation.isolated(_point, size, count, dimension)
            rows += found
            total = min(row["seconds"] for row in found if row["part"] == "all")
            known.append((count, total))
            added = found[0]["added_bytes"] / 2**20
            print(f"evaluation: N = {count:,}, d = {dimension}: {total:.2f} s, +{added:,.0f} MiB", flush=True)
    return pd.DataFrame(rows), left_out


def _point(size: Size, count: int, dimension: int) -> list[dict[str, Any]]:
    evidence = _evidence(count, dimension, size.shape)
    before = isolation.resident_bytes()
    # Created anew each time: nothing is kept from the previous repeat, as for the first model on a dataset.
    rows = repeated(lambda: _suite(evidence()), size.repeats, ENOUGH_S)
    added = isolation.added_bytes(before)
    about = {"added_bytes": added, "threads": torch.get_num_threads()}
    return [{"d": dimension, "n": count} | row | about for row in rows]


def _evidence(count: int, dimension: int, shape: tuple[int, int, int]) -> Callable[[], Evidence]:
    """Return a function that creates random evidence: the cost of a metric does not depend on its values."""
    draw = torch.Generator().manual_seed(0)
    held_out = max(2, count // HELD_OUT)
    features = [torch.randn(size, dimension, generator=draw) for size in (count, count, held_out)]
    logits = [torch.randn(size, workload.CLASSES, generator=draw) for size in (count, count, held_out)]
    split, unseen = workload.random_split(shape, count), workload.random_split(shape, held_out)

    def make() -> Evidence:
        return Evidence(
            *features,
            *logits,
            sample_items=split.items,
            reference_items=split.items.flip(0),
            held_out_items=unseen.items,
            sample_labels=split.labels,
            reference_labels=split.labels,
            held_out_labels=unseen.labels,
        )

    return make


def _suite(evidence: Evidence) -> dict[str, float]:
    """Return the seconds of the default suite with its standard errors, and of its parts, as an evaluation runs it."""
    parts = Parts()
    with parts.clocked(PAIRS):  # work that several metrics share is charged to this part, not to the first of them
        _ = evidence.statistics.kernel_sum, evidence.statistics.held_out_distances, evidence.cross_pairs
    with parts.clocked(FRECHET):
        _ = evidence.sample_gaussian, evidence.statistics.gaussian
    for metric in select((), "image"):
        try:
            with parts.clocked(PART_OF.get(metric.name, PAIRS)):
                values = metric.compute(evidence)
        except NotMeasurable:
            continue
        with parts.clocked("standard errors"):
            for name in values:
                standard_error(name, evidence)
    return {"all": sum(parts.values())} | parts
