"""Selects the requested part of a dataset: a share of the training items, a number of the held-out items."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.mapping import release
from genbench.datasets.order import balanced_order
from genbench.datasets.room import require_memory
from genbench.datasets.source import Request
from genbench.seeding import generator

__all__ = ["taken"]

_CHUNK_BYTES = 64 << 20  # copied at a time from data that may be memory-mapped


def taken(request: Request, dataset: Dataset) -> Dataset:
    """Return the requested part of `dataset`; the dataset itself if that is all of it.

    Items are selected by an order that depends on neither number, and they stay in the order of their split. So a
    smaller fraction is contained in a larger one, and one array in the cache serves all fractions.

    Raises:
        InputError: there are fewer held-out items than requested, or the part does not fit into memory.
    """
    train_rows = _share(request, dataset.train)
    held_out_rows = _first(request, dataset.held_out)
    wanted = ((dataset.train, train_rows), (dataset.held_out, held_out_rows))
    copied = sum(len(rows) for split, rows in wanted if len(rows) < len(split))
    if not copied:
        return dataset
    require_memory(request, copied * dataset.shape.numel() * dataset.train.items.element_size(), dataset.kind.noun)
    train, held_out = (_rows(split, rows) for split, rows in wanted)

    def give_back() -> None:
        release(train.items)
        release(held_out.items)

    return replace(
        dataset, train=train, held_out=held_out, fingerprint=fingerprint(train, held_out, after_chunk=give_back)
    )


def _share(request: Request, split: Split) -> Tensor:
    """Return the training rows, ascending: the rounded share, plus the first row of each class without one."""
    fraction = request.part.fraction
    if fraction == 1:
        return torch.arange(len(split))
    # Drawn items are already in random order: their beginning is taken, without a permutation.
    order = balanced_order(len(split), split.labels, None if request.source.drawn else generator(0, "fraction"))
    chosen = order[: max(1, round(fraction * len(split)))]
    if split.labels is not None:
        classes = split.labels[order]
        places = torch.full((int(classes.max()) + 1,), len(split))
        places.scatter_reduce_(0, classes, torch.arange(len(split)), "amin")
        chosen = torch.cat([chosen, order[places[places < len(split)]]])
    rows: Tensor = chosen.unique()
    return rows


def _first(request: Request, split: Split) -> Tensor:
    """Return the held-out rows, ascending."""
    count = request.part.held_out
    if count is None or count == len(split):
        return torch.arange(len(split))
    if count > len(split):
        raise request.fault(f"held_out={count} is more than the {len(split):,} {split.kind.noun} that it holds out")
    return balanced_order(len(split), split.labels, generator(0, "held-out"))[:count].sort().values


def _rows(split: Split, rows: Tensor) -> Split:
    if len(rows) == len(split):
        return split
    items = torch.empty((len(rows), *split.items.shape[1:]), dtype=split.items.dtype)
    step = max(1, _CHUNK_BYTES // max(1, items[:1].numel() * items.element_size()))
    for start in range(0, len(rows), step):
        items[start : start + step] = split.items.index_select(0, rows[start : start + step])
        release(split.items)
    return replace(split, items=items, labels=None if split.labels is None else split.labels[rows])
