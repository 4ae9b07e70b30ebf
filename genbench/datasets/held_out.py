"""What a user holds out by `held_out=PATH`: which of it is trained on as well."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from genbench.datasets.mapping import release
from genbench.datasets.source import Request
from genbench.datasets.storage import Plan
from genbench.kinds.kind import Kind

__all__ = ["compared", "own_path", "overlap"]

_MOST_NAMED = 5
_CHUNK_BYTES = 64 << 20  # of items read at once, so that a memory-mapped set is never read whole


def own_path(request: Request) -> Path | None:
    """Return the path of what is held out, or None where the source holds out by itself."""
    return None if request.own_held_out is None else Path(os.path.expanduser(request.own_held_out))


def compared(request: Request, plan: Plan, kind: Kind) -> Plan:
    """Return a plan that compares the splits, once they are filled in, where the user names what is held out.

    The remark of the filling then says which classes are not held out, and how many items are trained on as well.
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
    """Say how many held-out items are trained on as well, by the hash of what is stored of each; None where none is.

    Args:
        request: whose `held_out=` names them.
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


def _lacking(request: Request, plan: Plan) -> str | None:
    """Say which classes have items to train on and none that are held out."""
    if plan.labels is None or plan.class_names is None:
        return None
    held_out = set(plan.labels[plan.train_count :].tolist())
    lacking = [name for number, name in enumerate(plan.class_names) if number not in held_out]
    named = ", ".join(lacking[:_MOST_NAMED]) + (" and others" if len(lacking) > _MOST_NAMED else "")
    return f"{request.own_held_out} holds no {named}" if lacking else None


def _hashes(items: Tensor) -> Iterator[bytes]:
    """Yield the SHA-256 of the bytes of each item; a set of them is smaller than the items."""
    step = max(1, _CHUNK_BYTES // max(1, items[:1].numel() * items.element_size()))
    for start in range(0, len(items), step):
        for item in items[start : start + step].contiguous().numpy():
            yield hashlib.sha256(item.data).digest()
        release(items)
