"""The features that items are measured against: extracted once per dataset and extractor, then cached by content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.datasets import cache_root
from genbench.datasets.dataset import REFERENCE_LIMIT, Dataset
from genbench.features.extractor import Extractor, Features, RecipeValue, extract
from genbench.features.tensor_cache import read_cached, write_cached
from genbench.metrics.gaussian import GaussianStatistics
from genbench.plugin import world
from genbench.records.identity import identity

__all__ = ["Reference", "cache_path", "reference_for", "reference_key"]

Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Reference:
    """Features of the training split and of the held-out split.

    Args:
        train: empty if there is a `gaussian`.
        held_out: empty where nothing is held out.
        gaussian: mean and covariance of the training features, where these are given instead of the features.
        described: what a recipe records about the training split, if it is not a dataset's.
    """

    train: Features
    held_out: Features
    gaussian: GaussianStatistics | None = None
    described: Mapping[str, RecipeValue] = field(default_factory=dict)


def reference_for(
    dataset: Dataset, extractor: Extractor, emit: Emit = lambda event: None, limit: int | None = None
) -> Reference:
    """Return the reference features, from the cache if present, else extracted and cached.

    Args:
        dataset: the first items of each of its splits are the reference.
        extractor: extracts their features.
        emit: called with progress events.
        limit: maximum number of items per split; None is `REFERENCE_LIMIT`.
    """
    limit = REFERENCE_LIMIT if limit is None else limit
    parts = {}
    for split, items in (("train", dataset.train.items), ("held_out", dataset.held_out.items)):
        items = items[:limit]
        what = f"{split.replace('_', '-')} {dataset.kind.noun}"
        path = cache_path("features", reference_key(dataset, extractor, limit, split=split))
        parts[split] = _cached(path, len(items)) or _extract(path, items, extractor, what, emit)
    return Reference(parts["train"], parts["held_out"])


def reference_key(dataset: Dataset, extractor: Extractor, limit: int, **more: Any) -> str:
    """Return what identifies anything derived from the first `limit` items of each split by an extractor."""
    return identity({"fingerprint": dataset.fingerprint, "limit": limit, **extractor.recipe(), **more}, 32)


def cache_path(kind: str, key: str) -> Path:
    """Return the cache's file for `features` or `statistics` of a key."""
    return cache_root() / kind / f"{key}.safetensors"


def _cached(path: Path, count: int) -> Features | None:
    """Return cached features; incomplete or non-finite ones are ignored."""
    tensors = read_cached(path)
    found = tensors.get("features")
    if found is None or len(found) != count or not torch.isfinite(found).all():
        return None
    return Features(found, tensors.get("logits"))


@world.settled()
def _extract(path: Path, items: Tensor, extractor: Extractor, what: str, emit: Emit) -> Features:
    def progress(done: int, total: int) -> None:
        emit(
            {
                "event": "progress",
                "stage": f"features of {what}",
                "done": done,
                "total": total,
            }
        )

    extracted = extract(extractor, items, progress=progress)
    tensors = {"features": extracted.features}
    if extracted.logits is not None:
        tensors["logits"] = extracted.logits
    write_cached(path, tensors)
    return extracted
