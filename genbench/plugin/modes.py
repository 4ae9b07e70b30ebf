"""Reads, leaves and restores torch's modes and switches that outlive the code that set them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.nn.modules import module as torch_module
from torch.utils import _python_dispatch as dispatch

__all__ = [
    "OWN_KERNELS",
    "autocast",
    "default_device",
    "drop_hooks_for_saved",
    "drop_module_hooks",
    "entered",
    "hooks_for_saved",
    "kernels",
    "leave",
    "module_hooks",
    "set_autocast",
    "set_default_device",
    "set_inference",
    "set_kernels",
    "suspended",
    "unwatched",
]

_cuda = torch.backends.cuda
# The object that has each switch, and how it is called there: an attribute, or a function that reads and one that sets.
_PLACES: dict[str, tuple[Any, str, str]] = {
    "mkldnn": (torch.backends.mkldnn, "enabled", "set_flags"),
    "cudnn": (torch.backends.cudnn, "enabled", ""),
    "cudnn benchmark": (torch.backends.cudnn, "benchmark", ""),
    "cudnn deterministic": (torch.backends.cudnn, "deterministic", ""),
    "flash attention": (_cuda, "flash_sdp_enabled", "enable_flash_sdp"),
    "memory-efficient attention": (_cuda, "mem_efficient_sdp_enabled", "enable_mem_efficient_sdp"),
    "cudnn attention": (_cuda, "cudnn_sdp_enabled", "enable_cudnn_sdp"),
    "plain attention": (_cuda, "math_sdp_enabled", "enable_math_sdp"),
    "half-precision sums in attention": (
        _cuda,
        "fp16_bf16_reduction_math_sdp_allowed",
        "allow_fp16_bf16_reduction_math_sdp",
    ),
    "half-precision sums of bfloat16": (_cuda.matmul, "allow_bf16_reduced_precision_reduction", ""),
    "half-precision sums of float16": (_cuda.matmul, "allow_fp16_reduced_precision_reduction", ""),
    "fast path of attention": (torch.backends.mha, "get_fastpath_enabled", "set_fastpath_enabled"),
}
_DEVICES = ("cpu", "cuda")
_saved = torch._C._autograd
_HOOKS = ("forward_pre_hooks", "forward_hooks", "backward_pre_hooks", "backward_hooks", "parameter_registration_hooks")
_DEFAULT_DEVICE = (
    "DeviceContext"  # the implementation of torch.set_default_device; the default device is checked separately
)
_forced: list[Any] = []  # inference-mode guards that keep it as restored


def autocast() -> dict[str, str]:
    """Return the dtype of each device's autocast where it is enabled."""
    return {device: str(torch.get_autocast_dtype(device)) for device in _DEVICES if torch.is_autocast_enabled(device)}


def set_autocast(enabled: Mapping[str, str]) -> None:
    """Restore autocast to what `autocast` returned."""
    for device in _DEVICES:
        torch.set_autocast_enabled(device, device in enabled)
        if device in enabled:
            torch.set_autocast_dtype(device, getattr(torch, enabled[device].removeprefix("torch.")))


def entered() -> list[str]:
    """Return the names of the active function and dispatch modes, outermost first."""
    return [*_function_modes(), *(type(mode).__name__ for mode in dispatch._get_current_dispatch_mode_stack())]


def leave(names: list[str]) -> None:
    """Leave all modes except those that `entered` returned."""
    while _function_modes() and len(entered()) > len(names) and _function_modes()[-1] not in names:
        torch._C._pop_torch_function_stack()
    while len(entered()) > len(names) and dispatch._get_current_dispatch_mode_stack():
        dispatch._pop_mode()


def _function_modes() -> list[str]:
    stack = [torch._C._get_function_stack_at(level) for level in range(torch._C._len_torch_function_stack())]
    return [name for mode in stack if (name := type(mode).__name__) != _DEFAULT_DEVICE]


def default_device() -> torch.device:
    """Return the default device.

    torch's own function asks a new tensor, which is on the CPU wherever function modes are switched off.
    """
    stack = [torch._C._get_function_stack_at(level) for level in range(torch._C._len_torch_function_stack())]
    devices = [mode.device for mode in stack if type(mode).__name__ == _DEFAULT_DEVICE]
    return torch.device(devices[-1] if devices else "cpu")


def set_default_device(device: torch.device) -> None:
    """Restore what `default_device` returned."""
    if default_device() == device:
        return
    # None, because naming the CPU would leave a torch mode active for everything that follows.
    torch.set_default_device(None if device.type == "cpu" else device)
    while default_device() != device and _innermost() == _DEFAULT_DEVICE:  # `with torch.device(...)`, not left
        torch._C._pop_torch_function_stack()


def _innermost() -> str:
    level = torch._C._len_torch_function_stack() - 1
    return type(torch._C._get_function_stack_at(level)).__name__ if level >= 0 else ""


def module_hooks() -> dict[str, int]:
    """Return the number of global module hooks, by kind."""
    return {name: len(getattr(torch_module, f"_global_{name}")) for name in _HOOKS}


def drop_module_hooks(counts: Mapping[str, int]) -> None:
    """Remove the latest global module hooks until as many remain as `module_hooks` counted."""
    for name, count in counts.items():
        hooks = getattr(torch_module, f"_global_{name}")
        while len(hooks) > count:
            hooks.popitem()


def hooks_for_saved() -> dict[str, Any]:
    """Return the hooks that are entered for all tensors saved for the backward pass, and why entering is refused."""
    pairs: list[Any] = []
    top: Any = getattr(_saved, "_top_saved_tensors_default_hooks", lambda _: None)  # torch before 2.8 does not tell
    while pair := top(True):
        pairs.append(pair)
        _saved._pop_saved_tensors_default_hooks()
    for pair in reversed(pairs):
        _saved._push_saved_tensors_default_hooks(*pair)
    names = [getattr(pack, "__qualname__", type(pack).__name__) for pack, _ in reversed(pairs)]
    refused = _saved._saved_tensors_hooks_get_disabled_error_message()
    return ({"entered": names} if names else {}) | ({} if refused is None else {"refused": refused})


def drop_hooks_for_saved(before: Mapping[str, Any]) -> None:
    """Leave all hooks for saved tensors except those that `hooks_for_saved` returned, and refuse them as it says."""
    for _ in range(len(hooks_for_saved().get("entered", ())) - len(before.get("entered", ()))):
        _saved._pop_saved_tensors_default_hooks()
    if "refused" in before:
        _saved._saved_tensors_hooks_disable(before["refused"])
    else:
        _saved._saved_tensors_hooks_enable()


def kernels() -> dict[str, bool]:
    """Return the switches that select different kernels, and hence change the last digits."""
    # The last one can only be read from its effect: the smallest double is denormal. A default device may be left.
    flushed = float(torch.tensor(5e-324, dtype=torch.float64, device="cpu") * 1) == 0
    return _switches() | {"flush denormal numbers": flushed}


def _switches() -> dict[str, bool]:
    # A torch that lacks one cannot turn it on.
    found = {name: getattr(owner, read, False) for name, (owner, read, _) in _PLACES.items()}
    return {name: bool(value() if callable(value) else value) for name, value in found.items()}


# For the others what torch, of which versions differ, has set before a plugin is imported.
OWN_KERNELS = _switches() | {"mkldnn": True, "cudnn": True, "flush denormal numbers": False}


def set_kernels(switches: Mapping[str, bool]) -> None:
    """Set what `kernels` returned."""
    now = kernels()
    for name, (owner, read, function) in _PLACES.items():
        if switches[name] != now[name]:
            getattr(owner, function)(switches[name]) if function else setattr(owner, read, switches[name])
    if switches["flush denormal numbers"] != now["flush denormal numbers"]:
        torch.set_flush_denormal(switches["flush denormal numbers"])


def set_inference(enabled: bool) -> None:
    """Switch inference mode on or off permanently; torch ends it only through the object that began it."""
    guard = torch._C._InferenceMode(enabled)
    guard.__enter__()
    _forced.append(guard)


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """Run a block outside all function and dispatch modes."""
    with torch._C.DisableTorchFunction(), dispatch._disable_current_modes():
        yield


@contextlib.contextmanager
def suspended() -> Iterator[None]:
    """Run a block without autocast and outside all active modes; modes entered within the block work."""
    before = autocast()
    # Popped, because switching them off as in `unwatched` would also switch off those of the block.
    outer = [torch._C._pop_torch_function_stack() for _ in range(torch._C._len_torch_function_stack())]
    try:
        with dispatch._disable_current_modes():
            set_autocast({})
            yield
    finally:
        set_autocast(before)
        for mode in reversed(outer):
            torch._C._push_on_torch_function_stack(mode)
