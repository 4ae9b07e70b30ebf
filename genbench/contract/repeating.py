"""Kernels that repeat, for checks that compare two trainings on a GPU."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["repeatable"]


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Run a block with kernels whose sums have an order, where the device has them.

    cuDNN's fastest convolutions add up gradients in any order. A GAN amplifies the difference within ten steps, and a
    check that compares two trainings would blame the model for it.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, all_operations = torch.backends.cudnn.deterministic, torch.are_deterministic_algorithms_enabled()
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of operations that have no such kernel
            yield
    finally:
        torch.backends.cudnn.deterministic = cudnn
        torch.use_deterministic_algorithms(all_operations)
