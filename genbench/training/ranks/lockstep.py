"""Keeps the models of all ranks identical: the same at the start, stepped together, and compared after each window."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from genbench.errors import PluginError
from genbench.plugin.model import Model
from genbench.training.checksum import checksum
from genbench.training.ranks.averaging import Averaging, unlike_steps
from genbench.training.ranks.batch_norm import synchronise
from genbench.training.ranks.group import DisagreementError, ProcessGroup, number

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
        self._copy("build_model returns")
        synchronise(model.networks, group)
        self._averaging = Averaging(plugin, dict(model.networks.named_parameters()), group)

    def copy_from_first(self) -> None:
        """Copy weights and buffers from rank 0, once each rank has seen the data before the first step."""
        self._copy("before_training leaves")

    def _copy(self, what: str) -> None:
        self._group.copy_from_first(list(self._agreed(what).values()))

    def step(self, model: Model, batch: Tensor, labels: Tensor | None, step: int) -> dict[str, Tensor]:
        """Run one training step together with the other ranks, each on its own rows; the hook's result is local."""
        self._averaging.begin(step)
        self._group.stepping = True
        try:
            losses: dict[str, Tensor] = self._hook(model=model, batch=batch, labels=labels, step=step)
        except DisagreementError as error:
            where = f"normalises over its batch in step {step}"
            raise unlike_steps(self._plugin, self._group.rank, where) from error
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
        named = self._agreed("train_step leaves")
        sums = [checksum(value).cpu() for value in named.values()]
        differing = self._group.first_that_differs(torch.stack(sums)) if sums else None
        if differing is not None:
            raise PluginError(
                f"{self._plugin}: {list(named)[differing]} is not the same on all ranks after step {step}: weights "
                "must change only through gradients that backward() accumulates, and buffers only through what depends "
                "neither on the batch nor on random numbers; train it without --ranks"
            )

    def _agreed(self, what: str) -> dict[str, Tensor]:
        """Return weights and buffers by name, once it is clear that a hook has left the same ones on all ranks."""
        named = dict(self._networks.named_parameters()) | dict(self._networks.named_buffers())
        if (lazy := next((name for name, value in named.items() if is_lazy(value)), None)) is not None:
            raise PluginError(
                f"{self._plugin}: {lazy} has no shape before the first step, and ranks cannot copy it; build it with "
                "its size instead of a lazy module, or train it without --ranks"
            )
        described = [(name, tuple(value.shape), str(value.dtype)) for name, value in named.items()]
        try:
            self._group.add([], number(str(described)))
        except DisagreementError as error:
            raise PluginError(
                f"{self._plugin}: {what} networks with other names or shapes on another rank; train it without --ranks"
            ) from error
        return named
