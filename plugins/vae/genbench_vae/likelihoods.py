"""What a pixel may be given the latent code: the decoder's distributions, each with a training loss and an 8-bit law.

A likelihood owns two views of one pixel: the loss that trains (the field's own, on real-valued pixels) and a probability
mass over the 256 values that an 8-bit pixel can take, which is what bits/dim needs. The second sums to one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Bernoulli", "Gaussian", "Likelihood"]

BIN = 2.0 / 255.0  # distance of two neighbouring 8-bit values in [-1, 1]


class Likelihood(nn.Module, ABC):
    """A distribution of pixels that are independent given the decoder's output, one number a pixel."""

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """Return the image that the decoder's `output` (B, C, H, W) stands for: same shape, in [-1, 1]."""

    @abstractmethod
    def negative_log_density(self, output: Tensor, images: Tensor) -> Tensor:
        """Return what training minimises, summed over pixels: (B,) nats, from (B, C, H, W) twice."""

    @abstractmethod
    def log_mass(self, output: Tensor, levels: Tensor) -> Tensor:
        """Return the log-probability of each 8-bit value in `levels` (float, 0 to 255): nats, shape of `output`."""


class Bernoulli(Likelihood):
    def mean(self, output: Tensor) -> Tensor:
        return torch.sigmoid(output) * 2 - 1

    def negative_log_density(self, output: Tensor, images: Tensor) -> Tensor:
        target = (images + 1) / 2
        return F.binary_cross_entropy_with_logits(output, target, reduction="none").flatten(1).sum(1)

    def log_mass(self, output: Tensor, levels: Tensor) -> Tensor:
        rate = output.abs().clamp_min(1e-6)
        steps = torch.where(output < 0, levels, 255 - levels)
        return torch.log(torch.expm1(-rate / 256) / torch.expm1(-rate)) - rate * steps / 256


class Gaussian(Likelihood):
    def __init__(self, mean="tanh", init=0.0) -> None:
        super().__init__()
        self.kind = mean
        self.raw = nn.Parameter(torch.tensor(init))

    def log_sigma(self) -> Tensor:
        lowest = math.log(BIN / 2)
        return lowest + F.softplus(self.raw - lowest)

    def mean(self, output: Tensor) -> Tensor:
        return torch.tanh(output) if self.kind == "tanh" else output.clamp(-1, 1)

    def negative_log_density(self, output: Tensor, images: Tensor) -> Tensor:
        log_sigma = self.log_sigma()
        mu = torch.tanh(output) if self.kind == "tanh" else output
        squares = (images - mu).square().flatten(1).sum(1)
        constant = 0.5 * math.log(2 * math.pi) - math.log(BIN)
        return 0.5 * squares * torch.exp(-2 * log_sigma) + (log_sigma + constant) * images[0].numel()

    def log_mass(self, output: Tensor, levels: Tensor) -> Tensor:
        sigma = self.log_sigma().exp()
        mu = torch.tanh(output) if self.kind == "tanh" else output
        offset = (levels * BIN - 1 - mu) / sigma
        half = BIN / 2 / sigma
        sign = torch.where(offset > 0, -1.0, 1.0)
        lower, upper = offset - half, offset + half
        lower = torch.where(levels <= 0, -torch.inf, lower)
        upper = torch.where(levels >= 255, torch.inf, upper)
        flip = offset > 0
        near = torch.where(flip, -lower, upper)
        far = torch.where(flip, -upper, lower)
        log_near = torch.special.log_ndtr(near)
        return log_near + torch.log1p(-torch.exp(torch.special.log_ndtr(far) - log_near))
