"""Evidence with small items of each kind, drawn from a seed: similar to the data, or worse in known ways."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from genbench import seeding
from genbench.kinds import kind_named
from genbench.kinds.kind import Kind
from genbench.kinds.text import END
from genbench.metrics.evidence import Evidence

__all__ = ["CLASSES", "FEATURES", "WORSE", "drawn"]

CLASSES = 4
FEATURES = 8
RATE = 8_000  # of clips, in Hz
_SIDE, _LENGTH, _SAMPLES = 8, 12, 64
_NOISE = 0.15  # as a fraction of full scale, on images and clips
_WRONG, _WRONG_IF_WORSE = 0.05, 0.5  # fraction of wrong entries in a reconstruction

Rows = tuple[Tensor, Tensor]  # stored items (N, ...), and the class of each (N,), -1 for no class


def _images(labels: Tensor, random: torch.Generator) -> Tensor:
    """The position of a bright quarter of each image encodes its class."""
    grey = _NOISE * torch.rand(len(labels), 1, _SIDE, _SIDE, generator=random)
    half = _SIDE // 2
    for row, label in enumerate(labels.tolist()):
        down, across = half * (label // 2), half * (label % 2)
        grey[row, 0, down : down + half, across : across + half] += 0.7
    return (255 * grey).round().clamp(0, 255).to(torch.uint8)


def _texts(labels: Tensor, random: torch.Generator) -> Tensor:
    """Each class uses its own six letters; lengths vary."""
    tokens = 1 + 6 * labels[:, None] + torch.randint(6, (len(labels), _LENGTH), generator=random)
    lengths = torch.randint(_LENGTH // 2, _LENGTH + 1, (len(labels), 1), generator=random)
    return tokens.masked_fill(torch.arange(_LENGTH) >= lengths, END).to(torch.int16)


def _clips(labels: Tensor, random: torch.Generator) -> Tensor:
    """Each class has its own pitch; the phase varies."""
    turns = (labels[:, None] + 1) * torch.arange(_SAMPLES) / 16 + torch.rand(len(labels), 1, generator=random)
    wave = 0.6 * torch.sin(2 * math.pi * turns) + _NOISE * torch.randn(len(labels), _SAMPLES, generator=random)
    return (32767 * wave.clamp(-1, 1)).round().to(torch.int16)[:, None]


_DRAW: Mapping[str, Callable[[Tensor, torch.Generator], Tensor]] = {"image": _images, "text": _texts, "audio": _clips}


def _like_data(kind: Kind, count: int, random: torch.Generator) -> Rows:
    labels = torch.randint(CLASSES, (count,), generator=random)
    return _DRAW[kind.name](labels, random), labels


def _noise(kind: Kind, count: int, random: torch.Generator) -> Rows:
    return kind.random(count, _like_data(kind, 1, random)[0].shape[1:], random), torch.full((count,), -1)


def _one_class(kind: Kind, count: int, random: torch.Generator) -> Rows:
    labels = torch.zeros(count, dtype=torch.int64)
    return _DRAW[kind.name](labels, random), labels


def _one_item(kind: Kind, count: int, random: torch.Generator) -> Rows:
    items, labels = _like_data(kind, 1, random)
    return items.expand(count, *items.shape[1:]).clone(), labels.expand(count).clone()


WORSE: Mapping[str, Callable[[Kind, int, torch.Generator], Rows]] = {
    "noise": _noise,
    "samples of a single class": _one_class,
    "the same sample every time": _one_item,
}


def drawn(kind_name: str, count: int, seed: int, worse: str = "") -> Evidence:
    """Draw evidence with every field that items of the kind can have.

    Args:
        kind_name: `image`, `text` or `audio`.
        count: number of items in each split, and of samples.
        seed: of everything except the data, which are the same for every seed.
        worse: the key of `WORSE` that selects how samples are drawn; empty for samples of the data's own distribution.
    """
    kind = kind_named(kind_name)
    train, train_labels = _like_data(kind, count, seeding.generator(0, "contract", "train"))
    held_out, held_out_labels = _like_data(kind, count, seeding.generator(0, "contract", "held-out"))
    samples, classes = WORSE.get(worse, _like_data)(kind, count, seeding.generator(seed, "contract", "samples"))
    fields: dict[str, Any] = {
        "sample_items": samples,
        "reference_items": train,
        "held_out_items": held_out,
        "sample_labels": train_labels if worse else classes,
        "reference_labels": train_labels,
        "held_out_labels": held_out_labels,
        "sample_modes": classes,
        "mode_count": CLASSES,
        "originals": held_out,
        "reconstructions": _spoilt(kind, held_out, _WRONG_IF_WORSE if worse else _WRONG, seed),
        "log_likelihoods": _nats(count, seed) * (4 if worse else 1),
        "dimensions": math.prod(train.shape[1:]),
        "levels": kind.levels,
        "sample_rate": kind.data(train.shape[1:], count, CLASSES).sample_rate,
        "sample_log_probabilities": _nats(count, seed) * (4 if worse else 1),
        "entropy": 20.0,
        "seed": 0,
    }
    for name, items in (("samples", samples), ("reference", train), ("held_out", held_out)):
        fields[name] = _projected(kind, items, FEATURES)
    for name, items in (("sample", samples), ("reference", train), ("held_out", held_out)):
        fields[f"{name}_logits"] = 4 * _projected(kind, items, CLASSES)
    return Evidence(**fields)


def _projected(kind: Kind, items: Tensor, count: int) -> Tensor:
    """Return (N, count) float32: a fixed random projection, the same for all items of a kind."""
    flat = items.flatten(1).double() / kind.levels
    weights = torch.randn(
        flat.shape[1], count, generator=seeding.generator(0, "contract", "features", count), dtype=torch.float64
    )
    return (flat @ weights).float()


def _spoilt(kind: Kind, items: Tensor, share: float, seed: int) -> Tensor:
    """Return the items with a fraction of their entries redrawn."""
    random = seeding.generator(seed, "contract", "spoilt")
    chosen = torch.rand(items.shape, generator=random) < share
    return kind.store(kind.deliver(torch.where(chosen, kind.random(len(items), items.shape[1:], random), items)))


def _nats(count: int, seed: int) -> Tensor:
    return -20 - torch.rand(count, generator=seeding.generator(seed, "contract", "nats"), dtype=torch.float64)
