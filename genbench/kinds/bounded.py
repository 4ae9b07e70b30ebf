"""The check on what a hook returns if items are real numbers in [-1, 1]: for images and clips."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from genbench.kinds.kind import Misfit
from genbench.plugin.returned import FLOATS, Unusable, plain

__all__ = ["TOLERANCE", "bounded"]

TOLERANCE = 1e-3  # how far outside [-1, 1] arithmetic in half precision may land


def bounded(returned: object, expected: Sequence[int]) -> Tensor:
    """Return a hook's result as a plain tensor.

    Raises:
        Misfit: it is not a float tensor of this shape, holds NaN, or has a value more than `TOLERANCE` outside [-1, 1].
    """
    shape = tuple(expected)
    try:
        found = plain(returned, FLOATS)
    except Unusable as error:
        advice = "do not round: genbench does" if isinstance(returned, Tensor) else ""
        raise Misfit(str(error), f"a float tensor of shape {shape} in [-1, 1]", advice) from None
    if tuple(found.shape) != shape:
        raise Misfit(str(tuple(found.shape)), str(shape))
    low, high = (float(value) for value in found.detach().aminmax())
    if not low >= -1 - TOLERANCE or not high <= 1 + TOLERANCE:  # written so that NaN fails too
        shown = "NaN" if low != low or high != high else f"values in [{low:.4g}, {high:.4g}]"
        raise Misfit(shown, "values in [-1, 1]", "end the network with tanh, or with .clamp(-1, 1) in the hook")
    return found
