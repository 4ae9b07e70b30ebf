"""What a hook returned, as a plain tensor whose values can be read, or why it is none."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["FLOATS", "Unusable", "plain"]

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_READABLE = (*FLOATS, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class Unusable(ValueError):  # noqa: N818  # says what was found, and becomes the error of whoever asked
    """What was returned has no values that can be read; the text says what it is."""


def plain(value: object, dtypes: tuple[torch.dtype, ...] = _READABLE) -> Tensor:
    """Return `value` as a `Tensor` without a subclass's behaviour: dense, on a device that holds values.

    Args:
        value: what a hook returned.
        dtypes: those that are taken; real numbers of common kinds by default.

    Raises:
        Unusable: it is no tensor, or complex, sparse, nested, quantised, on `meta`, of a rare type, or a subclass that
            handles torch's operators by itself.
    """
    if not issubclass(type(value), Tensor):
        raise Unusable(type(value).__name__)
    if type(value).__torch_dispatch__ is not Tensor.__torch_dispatch__:  # type: ignore[attr-defined]
        raise Unusable(f"{type(value).__name__}, a subclass of Tensor; return a torch.Tensor itself")
    # A subclass may answer anything, also of its own shape and range.
    with torch._C.DisableTorchFunctionSubclass():
        found: Tensor = value if type(value) is Tensor else value.as_subclass(Tensor)  # type: ignore[attr-defined]
    if found.is_meta:
        raise Unusable("a tensor on meta, which holds no values")
    if found.is_nested:
        raise Unusable("a nested tensor")
    if found.layout is not torch.strided:
        raise Unusable(f"a tensor of layout {found.layout}; call .to_dense()")
    if found.dtype not in dtypes:
        raise Unusable(f"{found.dtype}")
    return found
