"""Compiles the networks of a model: what `--compile` does."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from genbench.model import Model

__all__ = ["compile_networks"]


def compile_networks(model: Model, backend: str = "inductor") -> None:
    """Compile each network in place, so that plugins call them as before; state and parameters keep their names.

    `nn.Module.compile` compiles nothing where the module's own `forward` is torch's code, as that of `nn.Sequential`
    is: dynamo passes over functions of torch that it enters from outside. So a function of ours is what it enters.
    """
    for network in model.networks.values():
        # What Module.compile sets.
        network._compiled_call_impl = torch.compile(_entrance(network), backend=backend)


def _entrance(network: nn.Module) -> Any:
    call: Any = network._call_impl

    def forward(*arguments: Any, **named: Any) -> Any:
        return call(*arguments, **named)

    # Dynamo keeps what it has compiled with the code object: one for all networks would be compiled again for each.
    forward.__code__ = forward.__code__.replace(co_name="forward")
    return forward
