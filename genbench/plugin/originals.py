"""The functions of torch and numpy as they were before any plugin was loaded.

A plugin can put another function in the place of one that measurements call (`torch.Tensor.mean = mine`), and every
number after it would be wrong without a word.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

__all__ = ["restored"]

_MODULES: tuple[Any, ...] = (
    *(math, np, np.fft, np.linalg),
    *(torch, torch.fft, torch.linalg, torch.nn.functional, torch.special),
)
_CLASSES = (torch.Tensor, *{value for value in vars(torch.nn).values() if isinstance(value, type)})
_ABSENT = object()  # a class inherits the function


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Run a block with the original functions, and put back afterwards what was in their place."""
    replaced = [*_replaced()]
    for holder, name, original, _ in replaced:
        _put(holder, name, original)
    try:
        yield
    finally:
        for holder, name, _, found in replaced:
            _put(holder, name, found)


def _replaced() -> Iterator[tuple[Any, str, Any, Any]]:
    """Yield holder, name, original and what is in its place now."""
    for holder, functions in _originals:
        found = vars(holder)
        for name, original in functions.items():
            if found.get(name) is not original and not _of_torch(found.get(name)):
                yield holder, name, original, found.get(name, _ABSENT)
    for holder, names in _inherited:
        for name in names & vars(holder).keys():
            if not _of_torch(vars(holder)[name]):
                yield holder, name, _ABSENT, vars(holder)[name]


def _of_torch(function: Any) -> bool:
    """Return whether torch has put it there itself, as its compiler does with `Module.__init__`."""
    return str(getattr(function, "__module__", "")).partition(".")[0] == "torch"


def _put(holder: Any, name: str, function: Any) -> None:
    if function is _ABSENT:
        delattr(holder, name)
    else:
        setattr(holder, name, function)


def _functions(holder: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(holder).items() if callable(value)}


_originals = [(holder, _functions(holder)) for holder in (*_MODULES, *_CLASSES)]
_inherited = [
    (
        holder,
        {name for base in holder.__mro__[1:-1] for name in vars(base)} - vars(holder).keys(),
    )
    for holder in _CLASSES
]
