"""Modes that watch a plugin's use of torch: waits for the device, tensors kept alive, random numbers drawn."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.functional import one_hot
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from genbench.contract.fault import Unmet, in_library, own_line
from genbench.training.storages import storages

__all__ = ["Operations", "Readings", "Replay", "Survivors", "Transfers", "Waits", "note"]

_aten = torch.ops.aten
# Operations that pass a tensor's value, or a shape that depends on it, to Python: on an accelerator, each one waits.
_READING = {
    _aten._local_scalar_dense.default,
    _aten.equal.default,
    _aten.masked_select.default,
    _aten.nonzero.default,
    _aten._unique2.default,
    _aten.unique_dim.default,
    _aten.unique_consecutive.default,
}
_UNLIKE = "sample draws randomness that is not one row per image"
_TRANSFERS = {Tensor.cpu, Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.__repr__}


class Readings(TorchDispatchMode):
    """Records the plugin's line at each operation that would wait for an accelerator, even when run on the CPU."""

    def __init__(self, home: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own is not annotated
        self.home = home
        self.waits = Waits()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        by_mask = func is _aten.index.Tensor and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if func in _READING or by_mask:
            note(self.waits, self.home)
        return func(*args, **(kwargs or {}))


class Transfers(TorchFunctionMode):
    """Records the plugin's line at each call that copies a tensor to the host, which on the CPU is not an operation.

    Args:
        home: where the plugin's source is.
        readings: watches the operations, except for those that an accelerator would skip.
    """

    def __init__(self, home: str, readings: Readings) -> None:
        super().__init__()
        self.home = home
        self.waits = readings.waits

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _TRANSFERS:
            note(self.waits, self.home)
        if func is one_hot and _classes(*args[1:], **(kwargs or {})) >= 0:
            # The CPU reads the labels to reject those out of range; an accelerator does not.
            with _disable_current_modes():
                return func(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _classes(num_classes: int = -1, **_: object) -> int:
    return num_classes


@dataclass
class Waits:
    """Where a step waited: lines of the plugin's own source, and lines of libraries."""

    own: list[str] = field(default_factory=list)
    of_libraries: list[str] = field(default_factory=list)


def note(waits: Waits, home: str) -> None:
    """Add the line being executed, unless it is an optimizer that reads its own step counter."""
    # The counter is on the CPU whatever the device, so reading it does not wait. The stack is walked by hand, because
    # an optimizer does this for each parameter and a formatted stack takes a millisecond.
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "_get_value" and frame.f_code.co_filename.endswith("optimizer.py"):
            return
        frame = frame.f_back
    stack = traceback.extract_stack()
    if in_library(stack, home):
        waits.of_libraries.append(own_line(stack, home, torchs=True))
    else:
        waits.own.append(own_line(stack, home))


class Operations(TorchDispatchMode):
    """Lists each operation with the shapes of its tensors and its other arguments: what a CUDA graph records.

    Args:
        home: where the plugin's source is.
        expected: the list of another step; `line` is the plugin's line at which this step first differs from it.
    """

    def __init__(self, home: str, expected: list[str] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own is not annotated
        self.home = home
        self.expected = expected
        self.calls: list[str] = []
        self.line: str | None = None
        self.in_optimizer = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func.namespace != "profiler":  # markers that the optimizers set for a profiler do no work
            leaves = tree_leaves((args, kwargs))
            # What torch's optimizers compute on the host from a step counter, a capturable one keeps on the device.
            values = [repr(leaf) for leaf in leaves if not (isinstance(leaf, Tensor) or self.in_optimizer)]
            shapes = [f"{tuple(leaf.shape)}" for leaf in leaves if isinstance(leaf, Tensor)]
            self.calls.append(f"{func} {' '.join(shapes + values)}")
            first = len(self.calls) - 1
            if self.line is None and self.expected and self.calls[first:] != self.expected[first : first + 1]:
                self.line = own_line(traceback.extract_stack(), self.home)
        return func(*args, **(kwargs or {}))


class Survivors(TorchDispatchMode):
    """Tracks, without keeping it alive, the memory of every tensor created inside the block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own is not annotated
        self._made: list[tuple[StorageWeakRef, int]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {number for number, _ in storages((args, kwargs))}
        # An in-place operation returns its argument, whose memory is not new.
        new = [storage for number, storage in storages(result) if number not in given]
        self._made += [(StorageWeakRef(storage), storage.nbytes()) for storage in new]
        return result

    def bytes_alive(self) -> int:
        """Return how many bytes of the tracked tensors are still alive."""
        return sum(size for reference, size in self._made if not reference.expired())


class Replay(TorchDispatchMode):
    """Records the random numbers of a call, then replays the rows of its first images in a call for fewer images.

    Raises:
        Unmet: the two calls do not draw in the same way, one row per image, so they cannot be compared.
    """

    def __init__(self, count: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own is not annotated
        self._count = count
        self._fewer: int | None = None
        self._drawn: list[Tensor] = []
        self._next = 0

    def for_fewer(self, count: int) -> Replay:
        """Return this object, set to replay for `count` images."""
        self._fewer, self._next = count, 0
        return self

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded not in func.tags or not isinstance(result, Tensor):
            return result
        if func.overloadpacket is _aten.randperm:  # the first rows of a permutation are not a permutation
            raise Unmet(_UNLIKE)
        if self._fewer is None:
            self._drawn.append(result.detach().clone())
            return result
        return result.copy_(self._recorded(result.shape))

    def _recorded(self, shape: torch.Size) -> Tensor:
        if self._next == len(self._drawn):
            raise Unmet(_UNLIKE)
        drawn = self._drawn[self._next]
        self._next += 1
        if drawn.shape == shape:
            return drawn
        if drawn.dim() == 0 or drawn.shape[0] != self._count or drawn.shape[1:] != shape[1:] or shape[0] != self._fewer:
            raise Unmet(_UNLIKE)
        return drawn[: self._fewer]
