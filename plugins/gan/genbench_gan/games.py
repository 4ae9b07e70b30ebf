"""The games of `wavegan`: what the critic and the generator minimise, and the penalty on the critic's slope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genbench_gan.losses import discriminator_loss, generator_loss
from genbench_gan.wasserstein import distance, gradient_penalty

__all__ = ["GAMES", "Game", "slope_at_data"]


@dataclass(frozen=True)
class Game:
    """A game between a critic and a generator.

    Args:
        reported: the name of the critic's value among the losses of a step.
        value: maps the scores (B, 1) of data and of samples to the critic's value.
        sign: 1 if the critic minimises its value, -1 if it maximises it.
        penalty: maps critic, data and samples to the penalty, which is added with a weight.
        generator: maps the scores of samples to the generator's loss.
    """

    reported: str
    value: Callable[[Tensor, Tensor], Tensor]
    sign: float
    penalty: Callable[[nn.Module, Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


def slope_at_data(critic: nn.Module, real: Tensor) -> Tensor:
    r"""Return half the mean squared slope of the critic at the data, the penalty R1.

    .. math:: R_1 = \frac{1}{2} E_{x \sim data} \|\nabla_x C(x)\|_2^2

    0 for a critic that is flat there, which is the equilibrium. Differentiable by the critic's weights. The critic must
    treat each item independently.

    L. Mescheder, A. Geiger, S. Nowozin (2018), "Which Training Methods for GANs do actually Converge?", equation 9.
    https://arxiv.org/abs/1801.04406

    Args:
        critic: maps items (B, ...) to scores (B, 1).
        real: (B, ...) items of the data.

    Returns:
        A 0-d tensor.
    """
    real = real.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
    penalty: Tensor = slopes.flatten(1).square().sum(dim=1).mean() / 2
    return penalty


def _between(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return gradient_penalty(critic, real, fake, torch.rand(len(real), device=real.device))


GAMES = {
    "wasserstein": Game("wasserstein", distance, -1.0, _between, lambda scores: -scores.mean()),
    "non-saturating": Game(
        "discriminator", discriminator_loss, 1.0, lambda critic, real, _: slope_at_data(critic, real), generator_loss
    ),
}
