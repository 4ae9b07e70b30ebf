"""Checks on a tensor of images that a hook returned."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.contract.fault import Fault
from genbench.sampling import TOLERANCE

__all__ = ["check_images", "check_tensor"]


def check_tensor(hook: str, value: object, expected: tuple[int | str, ...], device: torch.device) -> Tensor:
    """Return `value` if it is a finite float tensor of the expected shape on the device; raise `Fault` otherwise.

    A size given as text (`"D"`) may be any.
    """
    if not isinstance(value, Tensor):
        raise Fault(f"{hook} to return a tensor", type(value).__name__, "return the network's output")
    fits = value.dim() == len(expected) and all(
        isinstance(size, str) or size == found for size, found in zip(expected, value.shape, strict=True)
    )
    if not fits:
        shape = f"({', '.join(map(str, expected))}{',' * (len(expected) == 1)})"
        raise Fault(
            f"{hook} to return {shape}",
            f"{tuple(value.shape)}",
            "take sizes from image_shape and count; see nn.Unflatten",
        )
    if not value.is_floating_point():
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
    images = check_tensor(hook, value, expected, device)
    low, high = (float(bound) for bound in images.aminmax())
    if low < -1 - TOLERANCE or high > 1 + TOLERANCE:
        raise Fault(
            f"{hook} to return values in [-1, 1]",
            f"[{low:.4g}, {high:.4g}]",
            "end the network with nn.Tanh(), or map its output from [0, 1] by 2 * x - 1",
        )
