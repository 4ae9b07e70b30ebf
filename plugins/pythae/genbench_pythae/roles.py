"""Which optimisers a pythae autoencoder has, inferred from the losses that it returns, and one step of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from pythae.models import BaseAE
from torch import Tensor, nn
from torch.optim import Optimizer

__all__ = ["optimizers", "step"]

# pythae's names: a model that returns `encoder_loss` is trained by an optimiser for its encoder, and so on.
_ROLES = ("encoder", "decoder", "autoencoder", "discriminator")


def optimizers(network: BaseAE, losses: Iterable[str], learning_rate: float, decay: float) -> dict[str, Optimizer]:
    """Return an Adam for each role that `losses` names, or one for the whole network if they name none.

    Parameters of neither the decoder nor the discriminator belong to the first role. `decay` applies to the decoder's
    weights, if the decoder has its own optimiser.
    """
    roles = [role for role in _ROLES if f"{role}_loss" in losses] or ["autoencoder"]
    owners = {id(p): role for role in roles[1:] for p in getattr(network, role).parameters()}
    held: dict[str, list[nn.Parameter]] = {role: [] for role in roles}
    for parameter in network.parameters():
        if parameter.requires_grad:
            held[owners.get(id(parameter), roles[0])].append(parameter)
    return {
        role: torch.optim.Adam(parameters, learning_rate, weight_decay=decay if role == "decoder" else 0.0, fused=True)
        for role, parameters in held.items()
    }


def step(output: Mapping[str, Tensor], optimizers: Mapping[str, Optimizer]) -> None:
    """Step each optimiser on the gradient of its own loss with respect to its own parameters only.

    VAEGAN reports at each step which of its networks are not updated.
    """
    active = {role: optimizer for role, optimizer in optimizers.items() if output.get(f"update_{role}", True)}
    for role, optimizer in active.items():
        own = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        optimizer.zero_grad()
        loss = output.get(f"{role}_loss", output["loss"])
        loss.backward(inputs=own, retain_graph=len(optimizers) > 1)
    for optimizer in active.values():
        optimizer.step()
