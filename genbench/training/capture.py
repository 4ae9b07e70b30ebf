"""Replays training steps from a CUDA graph: what `--cuda-graph` does.

A step of a small network is hundreds of kernels, each faster than its launch. A graph records them once and launches
them as one. The recipe is torch's: https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from genbench.errors import PluginError
from genbench.plugin.model import Model

__all__ = ["WARM_UP_STEPS", "ReplayedStep"]

WARM_UP_STEPS = 3  # as many as torch.cuda.make_graphed_callables uses


class ReplayedStep:
    """A plugin's `train_step`, called like the hook and with the same outcome, replayed from a CUDA graph.

    The first `WARM_UP_STEPS` calls run the hook itself, on a separate stream: libraries and optimizers allocate there
    what they keep. The next call records the hook without running anything, and from then on each call copies its batch
    to where the graph reads it, replays the graph, and copies the losses, because the next replay overwrites them.
    Every call is therefore one training step, and only the recording one waits for the device. The device's default
    generator advances at each replay as it would at a step. After loading a checkpoint, use a new instance, which
    records again.

    Args:
        plugin: named in messages.
        hook: its `train_step`.
        model: declared `capturable`; its optimizers' flag is set, where they have one.
        device: a CUDA device, where model and batches are.

    Raises:
        PluginError: the model has a scheduler, or the step cannot be captured.
    """

    def __init__(self, plugin: object, hook: Any, model: Model, device: torch.device) -> None:
        if model.schedulers:
            raise PluginError(f"{plugin}: declares capturable, but its scheduler sets rates that a graph does not read")
        for optimizer in model.optimizers.values():
            for group in optimizer.param_groups:
                if "capturable" in group:  # without it, Adam and similar optimizers count their steps on the host
                    group["capturable"] = True
        self._plugin = plugin
        self._hook = hook
        self._model = model
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._warmed = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch = torch.empty(0)
        self._labels: Tensor | None = None
        self._losses: dict[str, Tensor] = {}

    def __call__(self, model: Model, batch: Tensor, labels: Tensor | None, step: int) -> dict[str, Tensor]:
        """Run one training step of the model given to the constructor; `step` is read only during warm-up."""
        if self._warmed < WARM_UP_STEPS:
            self._warmed += 1
            return self._warm_up(batch, labels, step)
        if self._graph is None:
            self._graph = self._capture(batch, labels, step)
        self._batch.copy_(batch)
        if self._labels is not None:
            self._labels.copy_(labels)  # type: ignore[arg-type]  # a dataset always has labels or never
        self._graph.replay()
        losses: dict[str, Tensor] = tree_map_only(Tensor, torch.clone, self._losses)
        return losses

    def _warm_up(self, batch: Tensor, labels: Tensor | None, step: int) -> dict[str, Tensor]:
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            losses: dict[str, Tensor] = self._hook(model=self._model, batch=batch, labels=labels, step=step)
        current.wait_stream(self._stream)
        return losses

    def _capture(self, batch: Tensor, labels: Tensor | None, step: int) -> torch.cuda.CUDAGraph:
        self._batch, self._labels = batch.clone(), None if labels is None else labels.clone()
        graph = torch.cuda.CUDAGraph()
        try:
            # The stream of the warm-up, whose workspaces exist already; the device, because opening the capture waits
            # for the current one.
            with torch.cuda.device(self._device), torch.cuda.graph(graph, stream=self._stream):
                self._losses = self._hook(model=self._model, batch=self._batch, labels=self._labels, step=step)
        except RuntimeError as error:
            first = error.__context__ or error  # ending a failed capture fails too
            reason = str(first).strip().splitlines()[0]
            raise PluginError(f"{self._plugin}: its step cannot be captured in a CUDA graph: {reason}") from error
        return graph
