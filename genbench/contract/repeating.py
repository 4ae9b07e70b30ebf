"""Deterministic kernels, for checks that compare two training runs on a GPU."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["repeatable"]


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Run a block with kernels that sum in a fixed order, if the device has them.

    cuDNN's fastest convolutions sum gradients in an arbitrary order. A GAN amplifies the difference within ten steps,
    and a check that compares two training runs would blame the model for it.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, all_operations = torch.backends.cudnn.deterministic, torch.are_deterministic_algorithms_enabled()
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about operations without such a kernel
            yield
    finally:
        torch.backends.cudnn.deterministic = cudnn
        torch.use_deterministic_algorithms(all_operations)
