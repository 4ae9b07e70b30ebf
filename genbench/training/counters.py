"""Counts what one training step does: numbers that repeat exactly, so that a gate on them never raises a false alarm.

    from genbench.counters import count
    count(lambda step: train_step(model, images, step), torch.device("cpu"))["operator_calls"]

It needs only torch, so any loop can be counted, and `regress` can count revisions that have no counters of their own.
"""

from __future__ import annotations

import gc
import math
import statistics
import sys
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _python_dispatch as dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from genbench.training.storages import storages

__all__ = ["count", "count_compilation", "count_flops", "launches"]

WARM_UP_STEPS = 2  # an optimizer creates its state in the first
PYTHON_STEPS = 3
COMPILED_STEPS = 4
PYTHON_BYTES_ROUNDING = 1024  # object sizes depend on reference counts and free lists: ±200 bytes between runs
_LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch")
_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")

Step = Callable[[int], object]


def count(step: Step, device: torch.device) -> dict[str, Any]:
    """Return the counters of one training step after a few warm-up steps, and `operators`: calls by operator.

    The numbers depend on the code, the versions of torch and Python and, on CUDA, the GPU, but not on the machine's
    speed or load. Only `python_bytes` varies, by less than `PYTHON_BYTES_ROUNDING`. `kernels` and `synchronisations`
    are None without CUDA.

    Args:
        step: runs the training step with the given number.
        device: where it runs.
    """
    for number in range(WARM_UP_STEPS):
        step(number)
    with _without_collector():
        operators = _Operators()
        with operators:
            step(WARM_UP_STEPS)
        flops = count_flops(lambda: step(WARM_UP_STEPS + 1))
        python_calls = _python_calls(lambda: step(WARM_UP_STEPS + 2))
        first = WARM_UP_STEPS + 3
        python_bytes = _python_bytes(step, range(first, first + PYTHON_STEPS))
        kernels, waits = launches(lambda: step(first + PYTHON_STEPS), device)
    return {
        "operator_calls": sum(operators.calls.values()),
        "flops": flops,
        "peak_bytes": operators.peak_bytes,
        "python_calls": python_calls,
        "python_bytes": python_bytes,
        "kernels": kernels,
        "synchronisations": waits,
        "operators": dict(sorted(operators.calls.items())),
    }


def count_compilation(step: Step) -> dict[str, int]:
    """Return `graphs`, `graph_breaks` and `recompilations` of the first steps of compiled networks.

    The networks must be freshly compiled. With the backend "eager" the counts are the same as with any other, because
    they are taken before the backend is called, and no C++ compiler is needed. Earlier compilations are discarded, and
    the interpreter's calls in later steps differ from those of a process that compiles nothing: count those first.
    """
    import torch._dynamo
    from torch._dynamo import utils  # takes a second to import, so only here

    torch._dynamo.reset()
    utils.counters.clear()
    utils.clear_compilation_metrics()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing reads attributes that warn when read: torch's own doing
        for number in range(COMPILED_STEPS):
            step(number)
    compiled = [str(metrics.compile_id) for metrics in utils.get_compilation_metrics()]
    return {
        "graphs": int(utils.counters["stats"]["unique_graphs"]),
        "graph_breaks": int(sum(utils.counters["graph_break"].values())),
        "recompilations": sum(not identity.endswith("/0") for identity in compiled),  # frame / earlier compilations
    }


def count_flops(call: Callable[[], object]) -> int:
    """Count the floating-point operations of a call, a multiply-add as two.

    Counts matrix products, convolutions and attention, forward, backward and twice backward, as torch's own counter
    does, plus the products within recurrent layers, which that one leaves out; element-wise work is not counted.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_RECURRENT)
    # torch's counter also determines which module each operation belongs to, by hooks that fail where a step
    # differentiates with respect to an input, as gradient penalties do. The total needs no modules.
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]  # has everything that the counter uses
    with _entered(counter):
        call()
    return int(counter.get_total_flops())


@contextmanager
def _entered(counter: FlopCounterMode) -> Iterator[None]:
    """Run a block in torch's counter; a mode that the block leaves entered stays so, and the counter does not."""
    above: list[Any] = []
    with counter:
        try:
            yield
        finally:
            # Leaving a mode takes away the innermost one, whichever that is.
            if counter.mode in dispatch._get_current_dispatch_mode_stack():
                while dispatch._get_current_dispatch_mode_stack()[-1] is not counter.mode:
                    above.append(dispatch._pop_mode())
    for mode in reversed(above):
        dispatch._push_mode(mode)


def _mkldnn_layer(inputs: Any, weight: Any, recurrent_weight: Any, *_: Any, **__: Any) -> int:
    """Count one recurrent layer of oneDNN, from the shapes of its arguments; its inputs are (T, B, features)."""
    return int(2 * math.prod(inputs[:-1]) * (math.prod(weight) + math.prod(recurrent_weight)))


def _cudnn_layers(inputs: Any, weights: Any, *_: Any, **__: Any) -> int:
    """Count the recurrent layers of cuDNN, from the shapes of their arguments; biases have one dimension."""
    return int(2 * math.prod(inputs[:-1]) * sum(math.prod(weight) for weight in weights if len(weight) > 1))


def _backward(forward: Callable[..., int]) -> Callable[..., int]:
    """Count two products, one for each factor, for every product of the forward pass."""
    return lambda *args, **kwargs: 2 * forward(*args, **kwargs)


_aten = torch.ops.aten
_RECURRENT: dict[Any, Callable[..., int]] = {
    _aten.mkldnn_rnn_layer: _mkldnn_layer,
    _aten.mkldnn_rnn_layer_backward: _backward(_mkldnn_layer),
    _aten._cudnn_rnn: _cudnn_layers,
    _aten._cudnn_rnn_backward: _backward(_cudnn_layers),
}


class _NoModules(AbstractContextManager["_NoModules"]):
    """Stands in for torch's module tracker: everything belongs to the whole."""

    parents = frozenset({"Global"})

    def __exit__(self, *_: object) -> None:
        return None


class _Operators(TorchDispatchMode):
    """Counts operators, and tracks the memory of the tensors that they create."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own is not annotated
        self.calls: Counter[str] = Counter()
        self.peak_bytes = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.namespace == "profiler":  # markers that optimizers set for a profiler: not work
            return result
        self.calls[str(func)] += 1
        given = {id_ for id_, _ in storages((args, kwargs))}
        made = [(id_, storage) for id_, storage in storages(result) if id_ not in given]
        self._alive = {id_: entry for id_, entry in self._alive.items() if not entry[0].expired()}
        self._alive |= {id_: (StorageWeakRef(storage), storage.nbytes()) for id_, storage in made}
        self.peak_bytes = max(self.peak_bytes, sum(size for _, size in self._alive.values()))
        return result


def _python_calls(call: Callable[[], object]) -> int:
    calls = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(before)
    return calls - 2  # `call` itself, and the call that ends the counting


def _python_bytes(step: Step, numbers: range) -> int:
    peaks = []
    tracemalloc.start()
    try:
        step(numbers.start)  # the first step allocates what tracing itself needs
        for number in numbers:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            step(number)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return round(statistics.median(peaks))


def launches(call: Callable[[], object], device: torch.device) -> tuple[int | None, int | None]:
    """Return the number of kernels that a call launches and of times it waits for the device; None without CUDA."""
    if device.type != "cuda":
        return None, None
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    torch.cuda.synchronize(device)
    with torch.profiler.profile(activities=activities) as profile:
        call()
    names = Counter({event.key: event.count for event in profile.key_averages()})
    launched = sum(number for name, number in names.items() if name.startswith(_LAUNCHES))
    waited = sum(number for name, number in names.items() if name.startswith(_WAITS))
    # The profiler itself waits once at the end, for the device's events.
    return launched, max(0, waited - 1)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the cycle collector from running at a moment that depends on what ran before."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
