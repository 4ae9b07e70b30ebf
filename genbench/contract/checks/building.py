"""The promises of `build_model`: a complete `Model`, on the device, and equal for equal seeds."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from genbench.contract import state
from genbench.contract.case import Subject
from genbench.contract.fault import Fault
from genbench.plugin.model import Model

__all__ = ["build"]


def build(subject: Subject) -> None:
    """`build_model` returns a Model on the device, with an optimizer for each trainable parameter.

    A model that is not trained by gradient steps may have neither networks nor optimizers.
    """
    model = subject.untrained
    _is_a_model(model)
    _is_on_the_device(model, subject.device)
    _optimizers_fit(model)
    changed = state.difference(state.snapshot(model), subject.built.initial)
    if changed:
        raise Fault(
            "equal weights from equal global seeds",
            f"that {changed} differs",
            "draw initial weights only from torch's global generator, without your own seed or cache",
        )


def _is_a_model(model: object) -> None:
    if not isinstance(model, Model):
        raise Fault(
            "build_model to return a genbench.Model",
            f"{type(model).__name__}",
            'return Model(nn.ModuleDict({"name": network}), {"name": optimizer})',
        )
    if not isinstance(model.networks, nn.ModuleDict):
        raise Fault("networks to be an nn.ModuleDict", type(model.networks).__name__, "wrap them: nn.ModuleDict({...})")
    for field in ("optimizers", "schedulers"):
        if not isinstance(getattr(model, field), dict):
            raise Fault(f"{field} to be a dict by name", type(getattr(model, field)).__name__, 'write {"name": ...}')
    for name, optimizer in model.optimizers.items():
        if not isinstance(optimizer, Optimizer):
            raise Fault(
                f"optimizer {name!r} to be a torch.optim.Optimizer",
                type(optimizer).__name__,
                "return the optimizer itself",
            )


def _is_on_the_device(model: Model, device: torch.device) -> None:
    for name, tensor in model.networks.state_dict().items():
        if is_lazy(tensor):
            raise Fault("parameters of known sizes", f"{name} of a lazy module", "take its size from data.shape")
        if tensor.device.type != device.type:
            raise Fault(
                f"all networks on {device}", f"{name} on {tensor.device}", "call .to(device) before creating optimizers"
            )


def _optimizers_fit(model: Model) -> None:
    named = {id(parameter): name for name, parameter in model.networks.named_parameters()}
    held = {
        id(parameter): name
        for name, optimizer in model.optimizers.items()
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for key, name in held.items():
        if key not in named:
            raise Fault(
                "optimizers of the networks' own parameters",
                f"one in optimizer {name!r} that no network holds",
                "put its module into networks, and build the optimizer after .to(device)",
            )
    for name, parameter in model.networks.named_parameters():
        if parameter.requires_grad and id(parameter) not in held:
            raise Fault(
                "an optimizer for each trainable parameter",
                f"none for {name}",
                "give it to an optimizer, or call .requires_grad_(False) if it is not trained, as in an EMA copy",
            )
