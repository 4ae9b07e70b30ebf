"""`Dataset`: a training and a held-out split of items, with the fingerprint that distinguishes datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genbench.kinds.image import KIND as IMAGES
from genbench.kinds.kind import Kind
from genbench.plugin.data import Data

__all__ = ["REFERENCE_LIMIT", "Dataset", "Split", "fingerprint"]

REFERENCE_LIMIT = 50_000  # images of the training split that serve as the reference, by convention the first ones

_CHUNK_BYTES = 64 << 20  # of items hashed at a time, so that a memory-mapped set is never read whole


@dataclass(frozen=True)
class Split:
    """Items and their labels, if any.

    Args:
        items: (N, ...) as their kind stores them, on the CPU, contiguous; possibly memory-mapped.
        labels: (N,) int64, or None.
        kind: of the items.
    """

    items: Tensor
    labels: Tensor | None
    kind: Kind = IMAGES

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class Dataset:
    """A dataset as every stage sees it.

    Args:
        name: as the user wrote it, such as `digits` or `folder:faces`.
        train: the items that models train on and quality is measured against.
        held_out: the items that no model sees.
        class_names: one per label, or None without labels.
        licence: one line.
        log_probability: for data whose probabilities are known, a function from stored items (N, ...) to (N,) float64
            nats, minus infinity outside the support; requires `entropy`.
        entropy: of one item, in nats, or None.
        nearest_mode: for data with known modes, a function from (N, C, H, W) uint8 to the (N,) index of the mode each
            image belongs to, -1 for none; requires `mode_count`.
        mode_count: the number of modes, or None.
        remark: a note for the user on how it was read, or None.
        plugin: distribution, version and source hash of the plugin that provides it; None for genbench's own.
    """

    name: str
    train: Split
    held_out: Split
    class_names: tuple[str, ...] | None
    licence: str
    fingerprint: str
    nearest_mode: Callable[[Tensor], Tensor] | None = None
    mode_count: int | None = None
    log_probability: Callable[[Tensor], Tensor] | None = None
    entropy: float | None = None
    remark: str | None = None
    plugin: Mapping[str, str] | None = None

    @property
    def source(self) -> str:
        """The dataset that this is, or is a part of: `digits` for `digits:fraction=0.1`."""
        return self.name.partition(":")[0]

    @property
    def shape(self) -> torch.Size:
        """Of one item, such as `torch.Size((C, H, W))` of an image."""
        return self.train.items.shape[1:]

    @property
    def kind(self) -> Kind:
        """What the items are."""
        return self.train.kind

    @property
    def classes(self) -> int | None:
        """The number of classes, or None without labels."""
        return None if self.class_names is None else len(self.class_names)

    @property
    def data(self) -> Data:
        """What a model may know of it."""
        return self.kind.data(self.shape, len(self.train), self.classes)


def fingerprint(train: Split, held_out: Split, *, after_chunk: Callable[[], None] = lambda: None) -> str:
    """Return the SHA-256 over both splits' shapes, bytes and labels; equal data have equal fingerprints.

    Args:
        train: the first split.
        held_out: the second.
        after_chunk: called after every few images, so that their pages can be released.
    """
    digest = hashlib.sha256(train.kind.identity)
    for split in (train, held_out):
        digest.update(f"{tuple(split.items.shape)}".encode())
        step = max(1, _CHUNK_BYTES // max(1, split.items[:1].numel() * split.items.element_size()))
        for start in range(0, len(split), step):
            digest.update(_bytes(split.items[start : start + step]))
            after_chunk()
        digest.update(b"no labels" if split.labels is None else _bytes(split.labels))
    return digest.hexdigest()


def _bytes(values: Tensor) -> memoryview:
    return values.contiguous().numpy().reshape(-1).view(np.uint8).data
