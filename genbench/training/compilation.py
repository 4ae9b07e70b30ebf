"""Compiles the networks of a model: what `--compile` does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from genbench.errors import PluginError
from genbench.plugin.model import Model

__all__ = ["compile_networks", "double_backward_told"]

# What torch says when a compiled network is to be differentiated twice, by version and by settings.
_DOUBLE_BACKWARD = ("support double backward", "requires create_graph=False")


def compile_networks(model: Model, backend: str = "inductor") -> None:
    """Compile each network in place, so that plugins call them as before; state and parameters keep their names.

    `nn.Module.compile` compiles nothing where the module's own `forward` is torch's code, such as that of
    `nn.Sequential`: dynamo skips torch functions that it enters from outside. So it is given a function of ours to
    enter.
    """
    for network in model.networks.values():
        # The attribute that Module.compile sets.
        network._compiled_call_impl = torch.compile(_entrance(network), backend=backend)


@contextlib.contextmanager
def double_backward_told(plugin: object) -> Iterator[None]:
    """Turn torch's error on differentiating a compiled network's gradient into one line that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if not any(text in str(error) for text in _DOUBLE_BACKWARD):
            raise
        raise PluginError(
            f"{plugin}: its step differentiates a gradient, as gradient penalties do, which torch.compile cannot do; "
            "leave out --compile"
        ) from error


def _entrance(network: nn.Module) -> Any:
    call: Any = network._call_impl

    def forward(*arguments: Any, **named: Any) -> Any:
        return call(*arguments, **named)

    # Dynamo stores what it has compiled with the code object: a shared one would be recompiled for each network.
    forward.__code__ = forward.__code__.replace(co_name="forward")
    return forward
