"""Inception-v3 with random weights: its cost does not depend on them, and they need no download."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from genbench.features.inception import parameter_shapes

__all__ = ["random_tensors", "write_random_weights"]


def random_tensors() -> dict[str, Tensor]:
    """Return weights of a size that keeps activations as large as their inputs: vanishing ones take far longer."""
    tensors = {}
    for name, shape in parameter_shapes().items():
        noise = torch.randn(shape)
        positive = name.endswith(("running_var", "bn.weight"))
        tensors[name] = torch.ones(shape) if positive else noise * (2 / max(1, noise[0].numel())) ** 0.5
    return tensors


def write_random_weights(path: Path) -> Path:
    """Write such weights to a file that `--weights` reads, and return its path."""
    torch.save(random_tensors(), path)
    return path
