"""A number for the content of a tensor, so that two contents can be distinguished without copying either."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["checksum"]

_SAME_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # integers, by bytes


def checksum(tensor: Tensor) -> Tensor:
    """Return a 0-d int64 tensor, on the device of `tensor`, that is unlikely to be the same for any other content."""
    values = tensor.detach()
    if values.is_complex():
        values = torch.view_as_real(values)
    if not values.numel():
        return torch.zeros((), dtype=torch.int64, device=values.device)
    bits = values.contiguous().view(_SAME_SIZE[values.element_size()]).reshape(len(values) if values.dim() else 1, -1)
    weights = torch.arange(1, len(bits) + 1, device=bits.device)  # so that swapping rows changes the sum
    return (bits.sum(1) * weights).sum()  # in int64, as torch sums integers
