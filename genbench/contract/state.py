"""Snapshots of a model's state, and the difference between two."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genbench.contract.repeating import repeats_exactly
from genbench.plugin.model import Model

__all__ = ["difference", "equal", "near", "snapshot"]


def snapshot(model: Model) -> dict[str, Any]:
    """Return a copy of the whole state of a model, flat: `networks.generator.0.weight` -> tensor."""
    return dict(_flatten("", model.state_dict()))


def difference(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """Return the name of the first entry that differs between two snapshots, or None."""
    for name in {**before, **after}:
        if name not in before or name not in after:
            return f"{name} (in one of them only)"
        if not equal(before[name], after[name]):
            return name
    return None


def equal(first: Any, second: Any) -> bool:
    """Return whether two values are equal: bit for bit, or approximately where the device sums in any order."""
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        alike = type(first) is type(second)
        return alike and (bool(first == second) or bool(first != first and second != second))  # NaN
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    if not first.is_floating_point():
        return torch.equal(first, second)
    if repeats_exactly(first.device):
        return bool(((first == second) | (first.isnan() & second.isnan())).all())
    return near(first, second, 1e-2)  # Adam turns rounding of a gradient that is zero into steps of the learning rate


def near(first: Tensor, second: Tensor, tolerance: float | None = None) -> bool:
    """Return whether two tensors differ by no more than different kernels or a different summation order explain."""
    if tolerance is None:
        tolerance = 1e-2 if first.device.type == "mps" else 1e-3  # an 8-bit step is 8e-3
    return torch.allclose(first.float(), second.float(), rtol=tolerance, atol=tolerance, equal_nan=True)


def _flatten(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flatten(f"{name}.{key}".lstrip("."), inner)]
    if isinstance(value, list | tuple):
        return [pair for index, inner in enumerate(value) for pair in _flatten(f"{name}.{index}", inner)]
    return [(name, value.detach().clone() if isinstance(value, Tensor) else value)]
