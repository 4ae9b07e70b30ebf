"""Turns the return value of a hook into a plain tensor with readable values, or reports why it cannot."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.errors import quoted
from genbench.plugin.visible import visible

__all__ = ["FLOATS", "LONGEST_NAME", "MOST_LOSSES", "Unusable", "loss_name", "plain"]

MOST_LOSSES, LONGEST_NAME = 256, 100  # of a step, and characters of a name: each event of training has them all

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_READABLE = (*FLOATS, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class Unusable(ValueError):  # noqa: N818  # describes the value, and becomes the error of the caller
    """The returned object has no readable values; the text describes it."""


def plain(value: object, dtypes: tuple[torch.dtype, ...] = _READABLE) -> Tensor:
    """Return `value` as a `Tensor` without a subclass's behaviour: dense, on a device that holds values.

    Args:
        value: the return value of a hook.
        dtypes: the accepted dtypes; common real ones by default.

    Raises:
        Unusable: it is not a tensor, or complex, sparse, nested, quantised, on `meta`, of a rare type, or a subclass
            that handles torch's operators itself.
    """
    if not issubclass(type(value), Tensor):
        raise Unusable(type(value).__name__)
    if type(value).__torch_dispatch__ is not Tensor.__torch_dispatch__:  # type: ignore[attr-defined]
        raise Unusable(f"{type(value).__name__}, a subclass of Tensor; return a torch.Tensor itself")
    # A subclass may report anything, even about its own shape and range.
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


def loss_name(name: object) -> str:
    """Return the name of a loss as a plain `str`, also that of a subclass, which may not be picklable.

    Raises:
        Unusable: it is not text, is too long, or is not valid Unicode, which no record could hold.
    """
    if not issubclass(type(name), str):
        raise Unusable(f"a loss named {quoted(name)}")
    text = str.__str__(name)
    if len(text) > LONGEST_NAME:
        raise Unusable(f"a loss whose name has {len(text):,} characters")
    if not is_unicode(text):
        raise Unusable(f"a loss named {visible(text)}, which is not valid Unicode")
    return text


def is_unicode(text: str) -> bool:
    """Whether a text can be written: one with half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
