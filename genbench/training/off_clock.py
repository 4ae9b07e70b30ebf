"""Notices optimizers that train where neither time nor FLOPs are counted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

__all__ = ["stepping"]


@contextlib.contextmanager
def stepping() -> Iterator[list[str]]:
    """List the types of the optimizers that take a step in the block, those of no model included.

    A step without gradients, which only allocates an optimizer's state, is none.
    """
    stepped: list[str] = []

    def note(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)  # args[0] is the optimizer
        if closure is not None or _has_gradients(optimizer):
            stepped.append(type(optimizer).__name__)

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield stepped
    finally:
        handle.remove()


def _has_gradients(optimizer: Optimizer) -> bool:
    return any(each.grad is not None for group in optimizer.param_groups for each in group["params"])
