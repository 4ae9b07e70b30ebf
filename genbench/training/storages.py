"""The memory behind tensors: which storages the tensors in a nest of containers have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

__all__ = ["storages"]


def storages(tree: Any) -> Iterator[tuple[int, torch.UntypedStorage]]:
    """Yield the storages of all tensors in nested containers, each with a number that identifies it.

    A sparse tensor, such as the gradient of `nn.Embedding(sparse=True)`, has those of its indices and values; other
    layouts (compressed, opaque) do not say what memory they have.
    """
    for leaf in tree_leaves(tree):
        if isinstance(leaf, Tensor):
            for part in _dense_parts(leaf):
                storage = part.untyped_storage()
                yield storage._cdata, storage


def _dense_parts(tensor: Tensor) -> tuple[Tensor, ...]:
    if tensor.layout == torch.sparse_coo:
        return tensor._indices(), tensor._values()
    return (tensor,) if tensor.layout in (torch.strided, torch.jagged) else ()
