"""A number for the content of a tensor, so that two contents can be distinguished without copying either."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["checksum"]

_SAME_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # integers, by bytes
_AT_ONCE = 2**17  # values; few enough for a processor's caches

# Odd, so that a product modulo 2⁶⁴ loses nothing; these spread bits well (Steele et al. 2014, "Fast splittable
# pseudorandom number generators", https://doi.org/10.1145/2660193.2660195; as signed numbers).
_VALUE, _PLACE, _MIX = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15


def checksum(tensor: Tensor) -> Tensor:
    """Return a 0-d int64 tensor, on the device of `tensor`, that is unlikely to be the same for any other content.

    It is a sum over all values, each hashed together with its place, so it does not depend on the order of addition.
    """
    values = tensor.detach()
    if values.is_complex():
        values = torch.view_as_real(values)
    bits = values.contiguous().view(_SAME_SIZE[values.element_size()]).flatten()
    places = torch.arange(min(len(bits), _AT_ONCE), device=bits.device) * _PLACE
    found = torch.zeros((), dtype=torch.int64, device=bits.device)
    for start, part in enumerate(bits.split(_AT_ONCE)):
        hashed = part.to(torch.int64, copy=True).mul_(_VALUE).add_(places[: len(part)]).add_(start * _AT_ONCE)
        hashed ^= hashed >> 30
        hashed *= _MIX
        hashed ^= hashed >> 27
        found += hashed.sum()
    return found
