"""Kernels that give equal results for equal inputs, so that checks can compare results bit for bit on a GPU as well."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from genbench.machine.precision import full_float32

__all__ = ["repeatable", "repeats_exactly"]


@dataclass
class _Kernels:
    """Of this process, and not of a thread: torch runs Python code of a backward pass on a thread of its own."""

    exact: bool = False


_KERNELS = _Kernels()
_NO_SUCH_KERNEL = "does not have a deterministic implementation", "defaults to a non-deterministic algorithm"


def repeats_exactly(device: torch.device) -> bool:
    """Return whether equal operations on equal inputs gave equal bits so far in this check.

    That is so on the CPU, and on CUDA in a block of `repeatable` in which every operation had a deterministic kernel.
    """
    return device.type == "cpu" or (device.type == "cuda" and _KERNELS.exact)


@contextlib.contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Run a check with kernels that sum in a fixed order, if the device has them, and without TF32.

    cuDNN's fastest convolutions sum gradients in an arbitrary order. A GAN amplifies the difference within ten steps,
    and a check that compares two training runs would blame the model for it.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, all_operations = torch.backends.cudnn.deterministic, torch.are_deterministic_algorithms_enabled()
    warn_only, always = torch.is_deterministic_algorithms_warn_only_enabled(), torch.is_warn_always_enabled()
    exact, _KERNELS.exact = _KERNELS.exact, True
    with full_float32(), warnings.catch_warnings():
        _note_warnings()
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_warn_always(True)  # some kernels warn once per process, and each check must know
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic = cudnn
            torch.use_deterministic_algorithms(all_operations, warn_only=warn_only)
            torch.set_warn_always(always)
            _KERNELS.exact = exact


def _note_warnings() -> None:
    """Note when torch warns that an operation has no deterministic kernel, and show only the warnings of others."""
    show = warnings.showwarning

    def noted(message: Warning | str, *about: object, **more: object) -> None:
        if any(said in str(message) for said in _NO_SUCH_KERNEL):
            _KERNELS.exact = False
        elif "deterministic because it uses CuBLAS" not in str(message):  # on one stream, it is
            show(message, *about, **more)  # type: ignore[arg-type]

    warnings.filterwarnings("always", message="(?s).*deterministic")
    warnings.showwarning = noted
