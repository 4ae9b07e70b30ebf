"""What a model keeps beside the state that checkpoints hold: plain attributes, and all that hangs on them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genbench.plugin.model import Model

__all__ = ["unsaved"]

_DEPTH = 4  # of collections and objects within each other
_MOST = 100  # entries of a collection that are looked into
_OF_ANY_MODULE = frozenset(vars(nn.Module()))  # attributes: `training`, and torch's own
_OF_ANY_OPTIMIZER = frozenset(vars(Optimizer([torch.zeros(1)], {})))
_COLLECTIONS = (list, tuple, dict, set, deque)


def unsaved(model: Model) -> dict[str, Any]:
    """Return plain values, copies of tensors and lengths of collections by path, of what no checkpoint holds."""
    # What is saved, or is looked at by itself. By identity, so the objects have to be alive meanwhile.
    seen: dict[int, Any] = {
        id(each): each for part in (nn.Module.modules, nn.Module.parameters) for each in part(model.networks)
    }
    seen |= {id(optimizer): optimizer for optimizer in model.optimizers.values()}
    return {
        path: value
        for name, held in _places(model)
        for path, value in _values(name, held, dict(seen), _DEPTH)  # a copy, so that what is shared has every name
    }


def _places(model: Model) -> Iterator[tuple[str, Any]]:
    for path, module in model.networks.named_modules():
        for name, value in vars(module).items():
            if name not in _OF_ANY_MODULE:
                yield f"{path}.{name}", value
        for name in module._non_persistent_buffers_set:
            yield f"{path}.{name}", module._buffers[name]
        for name, parameter in module.named_parameters(recurse=False):
            for attribute, value in vars(parameter).items():
                yield f"{path}.{name}.{attribute}", value
    for path, optimizer in model.optimizers.items():
        for name, value in vars(optimizer).items():
            if name not in _OF_ANY_OPTIMIZER and not name.startswith("_"):  # torch's own notes begin so
                yield f"{path}.{name}", value


def _values(name: str, value: Any, seen: dict[int, Any], depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, bool | int | float | str):
        yield name, value
        return
    if id(value) in seen or not depth:
        return
    seen[id(value)] = value
    if isinstance(value, Tensor):
        if not value.is_meta:
            yield name, value.detach().clone()
        return
    if isinstance(value, _COLLECTIONS):
        yield f"the length of {name}", len(value)
    try:
        held = _within(value)
    except Exception:  # a plugin's own objects may raise anything
        return
    for key, inner in held:
        yield from _values(f"{name}{key}", inner, seen, depth - 1)


def _within(value: Any) -> list[tuple[str, Any]]:
    """Return what an object holds, by what its name is followed by."""
    if isinstance(value, dict):
        return [(f"[{key!r}]", inner) for key, inner in [*value.items()][:_MOST]]
    if isinstance(value, list | tuple | deque):
        return [(f"[{place}]", inner) for place, inner in enumerate([*value][:_MOST])]
    if isinstance(value, torch.Generator):
        return [("", value.get_state())]
    if isinstance(value, random.Random):
        return [("", str(value.getstate()))]
    if isinstance(value, type) or (callable(value) and not isinstance(value, nn.Module)):
        return []
    if callable(getattr(value, "state_dict", None)):
        return [(f".{key}", inner) for key, inner in value.state_dict().items()]
    # Torch's own objects, such as the handle of a hook, keep numbers that count through the whole program.
    own = not type(value).__module__.startswith("torch") and hasattr(value, "__dict__")
    return [(f".{key}", inner) for key, inner in vars(value).items()] if own else []
