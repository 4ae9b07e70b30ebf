"""Images and a reference to named numbers, each with its recipe.

One pass: every image goes through the extractor once, and every metric reads those features. Reference features are
cached by content, so a second model on the same data pays nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from genbench import features, metrics
from genbench.atomic import replacing
from genbench.datasets.dataset import Dataset
from genbench.features.extractor import Extractor, Features
from genbench.metrics import Evidence, Metric
from genbench.record import identity

__all__ = ["Evaluator", "Number", "Reference", "reference_for", "versions"]

Emit = Callable[[dict[str, Any]], None]
REFERENCE_LIMIT = 50_000  # images of the training split that stand for it, as the field has it
SEED = 0  # of subsets and splits within metrics: one for all, so that it never tells two recipes apart
ROUNDING = "((x+1)*127.5).round().clamp(0,255)"


@dataclass(frozen=True)
class Number:
    """A value and the short id of its recipe."""

    value: float
    recipe: str

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "recipe": self.recipe}


@dataclass(frozen=True)
class Reference:
    """Features of the training split and of the held-out split."""

    train: Features
    held_out: Features


def versions() -> dict[str, int]:
    """Return the version of each metric: part of a cell's identity."""
    return {name: metric.version for name, metric in metrics.METRICS.items()}


def cache_root() -> Path:
    """Return the cache folder: `$GENBENCH_CACHE`, else `~/.cache/genbench`."""
    return Path(os.environ.get("GENBENCH_CACHE") or Path.home() / ".cache" / "genbench")


def reference_for(dataset: Dataset, extractor: Extractor, emit: Emit = lambda event: None) -> Reference:
    """Return the reference features, from the cache where they are, else extracted and cached."""
    splits = {"train": dataset.train.images[:REFERENCE_LIMIT], "held_out": dataset.held_out.images[:REFERENCE_LIMIT]}
    parts = {}
    for split, images in splits.items():
        key = identity({"fingerprint": dataset.fingerprint, "split": split, "count": len(images)} | extractor.recipe(), 32)
        path = cache_root() / "features" / f"{key}.safetensors"
        parts[split] = _cached(path, len(images)) or _extract(path, images, extractor, split, emit)
    return Reference(**parts)


def _cached(path: Path, count: int) -> Features | None:
    """Read cached features; a file that is not what was written is as good as none."""
    if not path.exists():
        return None
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError):
        return None
    found = tensors.get("features")
    if found is None or len(found) != count or not torch.isfinite(found).all():
        return None
    return Features(found, tensors.get("logits"))


def _extract(path: Path, images: Tensor, extractor: Extractor, split: str, emit: Emit) -> Features:
    def progress(done: int, total: int) -> None:
        emit({"event": "progress", "stage": f"{split} features", "done": done, "total": total})

    extracted = features.extract(extractor, images, progress=progress)
    tensors = {"features": extracted.features.contiguous()}
    if extracted.logits is not None:
        tensors["logits"] = extracted.logits.contiguous()
    with replacing(path) as temporary:
        save_file(tensors, temporary)
    return extracted


class Evaluator:
    """Scores sets of images against one dataset, and keeps the recipes of all numbers it has given."""

    def __init__(self, dataset: Dataset, extractor: Extractor, reference: Reference) -> None:
        self.dataset = dataset
        self.extractor = extractor
        self.reference = reference
        self.recipes: dict[str, dict[str, Any]] = {}
        self.statistics = metrics.ReferenceStatistics(reference.train.features)

    def full(self, images: Tensor, labels: Tensor | None) -> dict[str, Number]:
        """Return every number that can be had of these images (N, C, H, W) uint8."""
        return self._score(images, labels, lambda metric: True)

    def quick(self, images: Tensor, labels: Tensor | None) -> dict[str, Number]:
        """Return the numbers that make a curve."""
        return self._score(images, labels, lambda metric: metric.curve)
