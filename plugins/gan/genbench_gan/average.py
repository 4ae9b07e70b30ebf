"""A running average of a network's weights, from which samples are drawn."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average(nn.Module):
    r"""An exponential moving average of a network's weights and of its BatchNorm statistics.

    .. math:: \bar\theta_t = d_t \bar\theta_{t-1} + (1 - d_t) \theta_t, \quad d_t = \min(d, (1 + t) / (10 + t))

    The warm-up d_t makes it an average over about the last tenth of the steps so far, however short the training;
    the decay d bounds it to about the last 1 / (1 - d) steps. A generator's weights circle around an equilibrium
    instead of settling, and their average is closer to it. The statistics are averaged together with the weights they
    belong to: a copy of the latest ones would not fit the averaged weights.

    The averaged weights are buffers, so nothing trains them and the parameter count covers only the trained networks.
    The number of updates is also a buffer: d_t is computed from it on the device, so a CUDA graph can replay an update.

    Y. Yazıcı et al. (2019), "The Unusual Effectiveness of Averaging in GAN Training", section 3.
    https://arxiv.org/abs/1806.04498

    Args:
        network: the network to average; its current state is copied.
        decay: d, in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = _with_buffers_for_parameters(copy.deepcopy(network))
        self.decay = decay
        self.updates: Tensor
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64, device=next(network.parameters()).device))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the output of the averaged network."""
        averaged: Tensor = self.network(inputs)
        return averaged

    def update(self, network: nn.Module) -> None:
        """Include the weights that `network` has after a training step."""
        newest = network.state_dict()
        # 1 - d_t, which is 9 / (10 + t) in the warm-up.
        nine = self.updates.new_full((), 9, dtype=torch.float32)
        weight = (nine / (self.updates + 10)).clamp_(min=1 - self.decay)
        for name, mean in self.network.named_buffers():
            if name in newest and mean.is_floating_point():  # constants are in no state
                mean.lerp_(newest[name], weight)
        self.updates += 1


def _with_buffers_for_parameters(network: nn.Module) -> nn.Module:
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, torch.clone(parameter.detach()))
    return network
