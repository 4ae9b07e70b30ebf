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
    "drop_module_hooks",
    "entered",
    "kernels",
    "leave",
    "module_hooks",
    "set_autocast",
    "set_inference",
    "set_kernels",
    "suspended",
    "unwatched",
]

OWN_KERNELS = {"mkldnn": True, "cudnn": True, "flush denormal numbers": False}
_DEVICES = ("cpu", "cuda")
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


def module_hooks() -> dict[str, int]:
    """Return the number of global module hooks, by kind."""
    return {name: len(getattr(torch_module, f"_global_{name}")) for name in _HOOKS}


def drop_module_hooks(counts: Mapping[str, int]) -> None:
    """Remove the latest global module hooks until as many remain as `module_hooks` counted."""
    for name, count in counts.items():
        hooks = getattr(torch_module, f"_global_{name}")
        while len(hooks) > count:
            hooks.popitem()


def kernels() -> dict[str, bool]:
    """Return the switches that select different kernels, and hence change the last digits."""
    # The last one can only be read from its effect: the smallest double is denormal.
    flushed = float(torch.tensor(5e-324, dtype=torch.float64) * 1) == 0
    return {
        "mkldnn": bool(torch.backends.mkldnn.enabled),
        "cudnn": bool(torch.backends.cudnn.enabled),
        "flush denormal numbers": flushed,
    }


def set_kernels(switches: Mapping[str, bool]) -> None:
    """Set what `kernels` returned."""
    torch.backends.mkldnn.set_flags(switches["mkldnn"])
    torch.backends.cudnn.enabled = switches["cudnn"]
    if switches["flush denormal numbers"] != kernels()["flush denormal numbers"]:
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
