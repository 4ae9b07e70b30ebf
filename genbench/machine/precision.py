"""How torch rounds float32 products and convolutions, whichever of its two interfaces a program has used.

The older functions, such as `torch.get_float32_matmul_precision`, raise once anything has set the newer attributes
`torch.backends.….fp32_precision`, which torch has from 2.9 on, to what they cannot express.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

__all__ = ["Float32Precision", "allow_tf32", "float32_precision", "full_float32", "set_float32_precision"]

_MIXED = "mixed"  # what the older interface cannot express
_NEWER = hasattr(torch.backends, "fp32_precision")
# The general settings first, because setting one changes those that inherit it.
_GENERAL = ("all", "mkldnn", "cudnn") if _NEWER else ()
_OPERATIONS = ("mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn", "cuda.matmul", "cudnn.conv", "cudnn.rnn") if _NEWER else ()


class Float32Precision(dict[str, str]):
    """Settings by name, equal to others that round alike: `none`, the default, is full precision, as `ieee` is.

    What the older interface cannot express on one side does not count: the newer names hold it, and torch does not
    tell the older setting behind it, so that it cannot be put back.
    """

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Float32Precision) or self.keys() != other.keys():
            return False
        ours, theirs = self._effective(), other._effective()
        return all(ours[name] == theirs[name] for name in ours if _MIXED not in (ours[name], theirs[name]))

    def __ne__(self, other: object) -> bool:  # a dict has its own
        return not self == other

    __hash__ = None

    def _effective(self) -> dict[str, str]:
        return {name: "ieee" if value == "none" else value for name, value in self.items()}


def float32_precision() -> Float32Precision:
    """Return torch's settings, as both interfaces state them."""
    older = {
        "products": _expressed(torch.get_float32_matmul_precision),
        "TF32 in convolutions": _expressed(lambda: torch.backends.cudnn.allow_tf32),
    }
    return Float32Precision(older | {name: _place(name).fp32_precision for name in (*_GENERAL, *_OPERATIONS)})


def set_float32_precision(found: Mapping[str, str]) -> None:
    """Set what `float32_precision` returned."""
    if found["products"] != _MIXED:
        torch.set_float32_matmul_precision(found["products"])
    if found["TF32 in convolutions"] != _MIXED:
        torch.backends.cudnn.allow_tf32 = found["TF32 in convolutions"] == "True"
    for name in (*_GENERAL, *_OPERATIONS):
        _place(name).fp32_precision = found[name]


def allow_tf32(allowed: bool) -> None:
    """Allow or forbid TF32 in products and convolutions alike, on CUDA: torch by default forbids it in the former."""
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed
    for name in _OPERATIONS:
        if name.startswith("cu"):
            _place(name).fp32_precision = "tf32" if allowed else "ieee"


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Run a block without TF32 or bfloat16 in float32 operations, whatever a training loop has set, then restore."""
    before = float32_precision()
    allow_tf32(False)  # through the older interface too: code in the block that asks it would raise otherwise
    for name in (*_GENERAL, *_OPERATIONS):  # `cudnn.flags()` in the block lets operations inherit the general ones
        _place(name).fp32_precision = "ieee"
    try:
        yield
    finally:
        set_float32_precision(before)


def _expressed(get: Callable[[], object]) -> str:
    try:
        return str(get())
    except RuntimeError:
        return _MIXED


def _place(name: str) -> Any:
    place: Any = torch.backends
    for part in () if name == "all" else name.split("."):
        place = getattr(place, part)
    return place
