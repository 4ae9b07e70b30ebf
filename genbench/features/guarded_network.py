"""A plugin's network as its extractor runs it: its exceptions, output and side effects are checked in every batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from genbench.errors import PluginError
from genbench.features.extractor import FeatureError
from genbench.plugin.guarding import guarded
from genbench.plugin.loading import Plugin
from genbench.plugin.returned import FLOATS, Unusable, plain

__all__ = ["GuardedNetwork", "output_sizes"]


class GuardedNetwork(nn.Module):
    """A plugin's network with every output checked; any fault raises a `FeatureError` that names the plugin."""

    def __init__(self, plugin: Plugin, network: nn.Module) -> None:
        super().__init__()
        self.plugin, self.network = plugin, network
        self._widths: tuple[int, int | None] | None = None  # of the first output

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor | None]:
        before = self._versions()
        try:
            with guarded(self.plugin, "its network", (torch.OutOfMemoryError,)):
                returned = self.network(batch)
        except PluginError as error:
            raise FeatureError(str(error)) from error
        if self._versions() != before:
            raise FeatureError(
                f"{self.plugin}: its network changed its own weights; leave parameters and buffers alone"
            )
        pair = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, None)
        features = self._checked("features", pair[0], "D", batch)
        logits = None if pair[1] is None else self._checked("logits", pair[1], "K", batch)
        widths = features.shape[1], None if logits is None else logits.shape[1]
        self._widths = self._widths or widths
        if widths != self._widths:
            raise FeatureError(
                f"{self.plugin}: its network returned {_said(widths)}, but {_said(self._widths)} for the first batch; "
                "the numbers must not change"
            )
        return features, logits

    def _checked(self, what: str, value: object, width: str, batch: Tensor) -> Tensor:
        try:
            found = plain(value, FLOATS)
        except Unusable as error:
            raise self._wrong(f"{what} as {error}, expected a tensor of floats") from None
        if found.dim() != 2 or len(found) != len(batch) or not found.shape[1]:
            raise self._wrong(f"{what} of shape {tuple(found.shape)}, expected ({len(batch)}, {width})")
        if found.device != batch.device:
            raise self._wrong(f"{what} on {found.device}, expected them on {batch.device}")
        found = found.float()
        bad = int((~found.isfinite()).any(1).sum())
        if bad:
            raise self._wrong(f"{what} that are NaN or infinite, for {bad} of {len(batch)} items")
        return found

    def _wrong(self, found: str) -> FeatureError:
        return FeatureError(f"{self.plugin}: its network returned {found}")

    def _versions(self) -> list[int]:
        """Return torch's count of how often each weight has been written."""
        tensors = (*self.network.parameters(), *self.network.buffers())
        return [tensor._version for tensor in tensors if not tensor.is_inference()]


@contextlib.contextmanager
def output_sizes(network: nn.Module) -> Iterator[list[int]]:
    """Yield a list to which, inside the block, the size in bytes of every output of every module is appended."""
    sizes = [0]

    def look(module: nn.Module, given: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel() * output.element_size())

    handles = [module.register_forward_hook(look) for module in network.modules()]
    try:
        yield sizes
    finally:
        for handle in handles:
            handle.remove()


def _said(widths: tuple[int, int | None]) -> str:
    features, logits = widths
    return f"{features} features" + (f" and {logits} logits" if logits is not None else " and no logits")
