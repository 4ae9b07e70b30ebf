"""Checks on what a hook returned: a tensor of the right shape and kind, images in range."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from genbench.contract.case import STRETCH, Subject
from genbench.contract.fault import Fault
from genbench.kinds.image import TOLERANCE
from genbench.plugin.model import Model
from genbench.plugin.returned import FLOATS, Unusable, plain

__all__ = ["check_images", "check_images_stay_in_range", "check_tensor"]


def check_tensor(hook: str, value: object, expected: tuple[int | str, ...], device: torch.device) -> Tensor:
    """Return `value` if it is a finite float tensor of the expected shape on the device; raise `Fault` otherwise.

    A size given as text (`"D"`) may be any.
    """
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
    if value.dtype not in FLOATS:
        raise Fault(f"{hook} to return floats", str(value.dtype), "do not round: genbench does")
    if value.device.type != device.type:
        raise Fault(f"{hook} to return a tensor on {device}", f"one on {value.device}", "leave out .cpu()")
    if value.requires_grad:
        raise Fault(
            f"{hook} to return a tensor without gradient", "one that requires grad", "leave enable_grad out of it"
        )
    if not bool(value.isfinite().all()):
        bad = int((~value.isfinite()).sum())
        raise Fault(
            f"{hook} to return finite values", f"{bad} that are NaN or infinite", "see where it divides or takes a log"
        )
    return value


def check_images(hook: str, value: object, expected: tuple[int, ...], device: torch.device) -> None:
    """Raise `Fault` unless `value` holds float images of the expected shape with values in [-1, 1]."""
    _check_range(hook, check_tensor(hook, value, expected, device), "")


def check_images_stay_in_range(hook: str, subject: Subject, call: Callable[[Model], Tensor]) -> None:
    """Raise `Fault` if images leave [-1, 1] once the weights are larger than those that training starts from.

    A network without a bound stays inside for its first steps, and would end a benchmark after an hour.
    """
    try:
        subject.prepare(subject.stretched)
        images = call(subject.stretched)
    except Fault:  # weights like these may be beyond what the plugin's arithmetic can do, which is no fault
        return
    _check_range(hook, images[images.isfinite()], f" once the weights are {STRETCH:.0f} times as large")


def _check_range(hook: str, values: Tensor, when: str) -> None:
    if not values.numel():
        return
    low, high = (float(bound) for bound in values.aminmax())
    if low < -1 - TOLERANCE or high > 1 + TOLERANCE:
        raise Fault(
            f"{hook} to return values in [-1, 1]",
            f"[{low:.4g}, {high:.4g}]{when}",
            "end the network with nn.Tanh(), or with .clamp(-1, 1) in the hook",
        )
