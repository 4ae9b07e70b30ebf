"""Keeps the models of all ranks identical: the same at the start, stepped together, and compared after each window."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from genbench.errors import PluginError
from genbench.plugin.model import Model
from genbench.training.checksum import checksum
from genbench.training.ranks.averaging import Averaging
from genbench.training.ranks.batch_norm import synchronise
from genbench.training.ranks.group import DisagreementError, ProcessGroup

__all__ = ["Lockstep"]


class Lockstep:
    """One rank's model among those of the other ranks.

    Args:
        plugin: named in messages.
        hook: its `train_step`.
        model: built, or restored, on every rank; weights and buffers become those of rank 0.
        group: the ranks.

    Raises:
        PluginError: the ranks have built different networks.
    """

    def __init__(self, plugin: object, hook: Any, model: Model, group: ProcessGroup) -> None:
        self._plugin = plugin
        self._hook = hook
        self._networks = model.networks
        self._group = group
        described = [(name, tuple(value.shape), str(value.dtype)) for name, value in _state(model.networks).items()]
        digest = hashlib.sha256(str(described).encode()).digest()
        try:
            group.add([], int.from_bytes(digest[:7], "big"))
        except DisagreementError as error:
            raise PluginError(
                f"{plugin}: build_model returns networks with other names or shapes on another rank; train it without "
                "--ranks"
            ) from error
        self.copy_from_first()
        synchronise(model.networks, group)
        self._averaging = Averaging(plugin, dict(model.networks.named_parameters()), group)

    def copy_from_first(self) -> None:
        """Copy weights and buffers from rank 0."""
        self._group.copy_from_first(list(_state(self._networks).values()))

    def step(self, model: Model, batch: Tensor, labels: Tensor | None, step: int) -> dict[str, Tensor]:
        """Run one training step together with the other ranks, each on its own rows; the hook's result is local."""
        self._averaging.begin(step)
        self._group.stepping = True
        try:
            losses: dict[str, Tensor] = self._hook(model=model, batch=batch, labels=labels, step=step)
        finally:
            self._group.stepping = False
        return losses

    def settle(self, step: int) -> None:
        """Meet the other ranks after a window, and compare all weights and buffers, bit for bit.

        Args:
            step: the last step that was run.

        Raises:
            PluginError: another rank ran other steps, or has other weights or buffers.
        """
        self._averaging.end(step)
        named = _state(self._networks)
        sums = [checksum(value).cpu() for value in named.values()]
        differing = self._group.first_that_differs(torch.stack(sums)) if sums else None
        if differing is not None:
            raise PluginError(
                f"{self._plugin}: {list(named)[differing]} is not the same on all ranks after step {step}: weights "
                "must change only through gradients that backward() accumulates, and buffers only through what depends "
                "neither on the batch nor on random numbers; train it without --ranks"
            )


def _state(networks: nn.Module) -> dict[str, Tensor]:
    return dict(networks.named_parameters()) | dict(networks.named_buffers())
