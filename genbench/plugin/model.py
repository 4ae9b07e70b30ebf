"""`Model`: the networks and optimizers that a plugin builds, which are its entire state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

__all__ = ["Model"]


@dataclass(frozen=True)
class Model:
    """Everything a plugin keeps between calls, and hence everything in a checkpoint.

    Hooks hold no other state: a running mean, an EMA copy or a fitted code density is a network (or a
    buffer of one). The harness calls `networks.train()` before training steps, and `networks.eval()` under
    `torch.no_grad()` around every other hook.

    Args:
        networks: by name; their parameters and buffers are saved.
        optimizers: by name; `train_step` owns their steps.
        schedulers: by name; `train_step` also owns their steps.
        capturable: whether a CUDA graph may replay `train_step` (`--cuda-graph`): every step runs the same operators on
            the same shapes, with numbers that do not depend on `step` or on anything that Python counts or draws; the
            host reads nothing, and state kept between steps is updated in place, never replaced.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> decoder = nn.Linear(2, 4)
        >>> model = Model(nn.ModuleDict({"decoder": decoder}), {"decoder": torch.optim.Adam(decoder.parameters())})
        >>> model.parameter_count()
        12
    """

    networks: nn.ModuleDict
    optimizers: dict[str, Optimizer]
    schedulers: dict[str, LRScheduler] = field(default_factory=dict)
    capturable: bool = False

    def parameter_count(self) -> int:
        """Return how many parameters the networks hold; a shared one counts once."""
        return sum(parameter.numel() for parameter in self.networks.parameters())

    def state_dict(self) -> dict[str, Any]:
        """Return the state as nested dicts of tensors and plain values, by reference: what `checkpoint` writes."""
        return {
            "networks": self.networks.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "schedulers": {name: scheduler.state_dict() for name, scheduler in self.schedulers.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; raises `KeyError` or `RuntimeError` if the two do not match."""
        self.networks.load_state_dict(state["networks"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, scheduler in self.schedulers.items():
            scheduler.load_state_dict(state["schedulers"][name])
