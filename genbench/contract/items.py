"""Checks of a hook's return value: a tensor of the right shape and type, with items that are valid for their kind."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from genbench.contract.case import STRETCH, Subject
from genbench.contract.fault import Fault
from genbench.kinds.kind import Misfit
from genbench.plugin.model import Model
from genbench.plugin.returned import FLOATS, Unusable, plain

__all__ = ["check_floats", "check_items", "check_items_stay_valid"]


def check_floats(hook: str, value: object, expected: tuple[int | str, ...], device: torch.device) -> Tensor:
    """Return `value` if it is a finite float tensor of the expected shape on the device; raise `Fault` otherwise.

    A size given as text (`"D"`) may have any value.
    """
    found = _check_tensor(hook, value, expected, device)
    if found.dtype not in FLOATS:
        raise Fault(f"{hook} to return floats", str(found.dtype), "return the network's output unchanged")
    return found


def check_items(hook: str, value: object, expected: tuple[int, ...], subject: Subject) -> None:
    """Raise `Fault` unless `value` holds items of the subject's kind, of the expected shape (B, ...)."""
    _check_values(hook, _check_tensor(hook, value, expected, subject.device), subject, "")


def check_items_stay_valid(hook: str, subject: Subject, call: Callable[[Model], Tensor]) -> None:
    """Raise `Fault` if items leave their range when the weights are larger than at the start of training.

    A network without a bound stays in range during its first steps, but could fail after an hour of a benchmark.
    """
    try:
        subject.prepare(subject.stretched)
        items = call(subject.stretched)
    except Fault:  # such weights may exceed the range of the plugin's arithmetic, which is not a fault
        return
    _check_values(hook, items[items.isfinite()], subject, f" once the weights are {STRETCH:.0f} times as large")


def _check_tensor(hook: str, value: object, expected: tuple[int | str, ...], device: torch.device) -> Tensor:
    try:
        value = plain(value)
    except Unusable as error:
        raise Fault(f"{hook} to return a tensor", str(error), "return the network's output") from error
    fits = value.dim() == len(expected) and all(
        isinstance(size, str) or size == found for size, found in zip(expected, value.shape, strict=True)
    )
    if not fits:
        shape = f"({', '.join(map(str, expected))}{',' * (len(expected) == 1)})"
        raise Fault(
            f"{hook} to return {shape}",
            f"{tuple(value.shape)}",
            "take sizes from data.shape and count; see nn.Unflatten",
        )
    if value.device.type != device.type:
        raise Fault(f"{hook} to return a tensor on {device}", f"one on {value.device}", "remove .cpu()")
    if value.requires_grad:
        raise Fault(
            f"{hook} to return a tensor without gradient", "one that requires grad", "remove enable_grad from it"
        )
    if not bool(value.isfinite().all()):
        bad = int((~value.isfinite()).sum())
        raise Fault(
            f"{hook} to return finite values", f"{bad} that are NaN or infinite", "check divisions and logarithms"
        )
    return value


def _check_values(hook: str, values: Tensor, subject: Subject, when: str) -> None:
    if not values.numel():
        return
    try:
        subject.kind.check(values, values.shape)
    except Misfit as misfit:
        raise Fault(f"{hook} to return {misfit.expected}", f"{misfit.found}{when}", misfit.advice) from misfit
