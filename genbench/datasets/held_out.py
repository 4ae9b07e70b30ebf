"""Held-out sets that the user names with `held_out=PATH`: finds the items that are trained on as well."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from genbench.datasets.dataset import Dataset
from genbench.datasets.mapping import release
from genbench.datasets.source import Request
from genbench.datasets.storage import Plan
from genbench.kinds.kind import Kind

__all__ = ["compared", "compared_texts", "own_path"]

_MOST_NAMED = 5
_CHUNK_BYTES = 64 << 20  # of items read at a time, so that a memory-mapped set is never read whole


def own_path(request: Request) -> Path | None:
    """Return the path of the held-out set, or None if the source itself holds items out."""
    return None if request.own_held_out is None else Path(os.path.expanduser(request.own_held_out))


def compared(request: Request, plan: Plan, kind: Kind) -> Plan:
    """Return a plan that compares the splits after filling them, if the user names the held-out set.

    The remark then reports classes with no held-out items, and how many held-out items are trained on as well.
    """
    if request.own_held_out is None:
        return plan

    def fill(target: npt.NDArray[Any]) -> str | None:
        remarks = [plan.fill(target)]
        items = torch.from_numpy(target)
        remarks.append(overlap(request, items[: plan.train_count], items[plan.train_count :], kind))
        remarks.append(_lacking(request, plan))
        return "; ".join(filter(None, remarks)) or None

    return replace(plan, fill=fill)


def overlap(request: Request, train: Tensor, held_out: Tensor, kind: Kind) -> str | None:
    """Report how many held-out items are trained on as well, by the hash of each stored item; None if there are none.

    Args:
        request: its `held_out=` names the held-out set.
        train: (N, ...) as they are stored.
        held_out: (M, ...) of the same shape.
        kind: of both.

    Raises:
        InputError: all of them are.
    """
    left = set(_hashes(held_out))
    found = left.intersection(_hashes(train))
    count = sum(each in found for each in _hashes(held_out)) if found else 0
    if count == len(held_out):
        raise request.fault(
            f"{request.own_held_out} holds nothing that is not trained on: all of its {count:,} {kind.noun} are in "
            f"{request.argument} too; hold out others"
        )
    if not count:
        return None
    return (
        f"{count:,} of the {len(held_out):,} held-out {kind.noun} are trained on as well: {request.own_held_out} and "
        f"{request.argument} share them"
    )


def compared_texts(request: Request, dataset: Dataset, train: Sequence[str], held_out: Sequence[str]) -> Dataset:
    """Return a dataset whose remark also reports what the user's held-out texts share with the training texts, or lack.

    Args:
        request: its `held_out=` names the held-out set.
        dataset: of both.
        train: the texts that its alphabet must know from training.
        held_out: those whose other characters are reported.

    Raises:
        InputError: all held-out texts are trained on.
    """
    shared = overlap(request, dataset.train.items, dataset.held_out.items, dataset.kind)
    said = (dataset.remark, shared, _new_characters(request, train, held_out))
    return replace(dataset, remark="; ".join(filter(None, said)) or None)


def _new_characters(request: Request, train: Sequence[str], held_out: Sequence[str]) -> str | None:
    """Report the characters that occur in held-out texts but never in training texts; None if there are none."""
    strange = sorted(set().union(*held_out) - set().union(*train))
    if not strange:
        return None
    return (
        f"{request.own_held_out}: {len(strange):,} of its characters, such as {strange[0]!r}, are nowhere in "
        f"{request.argument}"
    )


def _lacking(request: Request, plan: Plan) -> str | None:
    """Report the classes that have training items but no held-out items."""
    if plan.labels is None or plan.class_names is None:
        return None
    held_out = set(plan.labels[plan.train_count :].tolist())
    lacking = [name for number, name in enumerate(plan.class_names) if number not in held_out]
    named = ", ".join(lacking[:_MOST_NAMED]) + (" and others" if len(lacking) > _MOST_NAMED else "")
    return f"{request.own_held_out} holds no {named}" if lacking else None


def _hashes(items: Tensor) -> Iterator[bytes]:
    """Yield the SHA-256 of the bytes of each item; a set of hashes is smaller than the items."""
    step = max(1, _CHUNK_BYTES // max(1, items[:1].numel() * items.element_size()))
    for start in range(0, len(items), step):
        for item in items[start : start + step].contiguous().numpy():
            yield hashlib.sha256(item.data).digest()
        release(items)
