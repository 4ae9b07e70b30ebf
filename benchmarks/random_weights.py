"""Inception-v3 with random weights: what it costs does not hang on them, and they need no download."""

from __future__ import annotations

from pathlib import Path

import torch

from genbench.features.inception import parameter_shapes

__all__ = ["write_random_weights"]


def write_random_weights(path: Path) -> Path:
    """Write a file that `--weights` reads, of the size that keeps activations as large as their inputs."""
    tensors = {}
    for name, shape in parameter_shapes().items():
        noise = torch.randn(shape)
        positive = name.endswith(("running_var", "bn.weight"))
        tensors[name] = torch.ones(shape) if positive else noise * (2 / max(1, noise[0].numel())) ** 0.5
    torch.save(tensors, path)
    return path
