"""The Wasserstein losses with a gradient penalty (Gulrajani et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["distance", "gradient_penalty"]


def distance(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    r"""Return the critic's estimate of the Wasserstein distance, which it maximises and the generator minimises.

    .. math:: W = E_{x \sim data} C(x) - E_z C(G(z))

    If C is 1-Lipschitz, it is a lower bound of the Wasserstein-1 distance, up to sampling error. It may be below 0.

    M. Arjovsky, S. Chintala, L. Bottou (2017), "Wasserstein Generative Adversarial Networks", equation 3.
    https://arxiv.org/abs/1701.07875

    Args:
        real_scores: (B, 1) for items of the data.
        fake_scores: (B, 1) for samples.

    Returns:
        A 0-d tensor, in the units of the scores.

    Example:
        >>> import torch
        >>> distance(torch.tensor([[3.0], [1.0]]), torch.tensor([[0.5]])).item()
        1.5
    """
    return real_scores.mean() - fake_scores.mean()


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    r"""Return the squared deviation from 1 of the critic's slope between the data and the samples.

    .. math:: P = E (\|\nabla_x C(x)\|_2 - 1)^2, \quad x = u x_{real} + (1 - u) x_{fake}

    0 for a critic whose gradient has norm 1 at each x. Differentiable by the critic's weights. The critic must
    treat each item independently.

    I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin, A. Courville (2017), "Improved Training of Wasserstein GANs",
    equation 3. https://arxiv.org/abs/1704.00028

    Args:
        critic: maps items (B, ...) to scores (B, 1).
        real: (B, ...) items of the data.
        fake: (B, ...) samples, without gradients.
        shares: (B,) u, one per item, in [0, 1].

    Returns:
        A 0-d tensor.
    """
    between = torch.lerp(fake.to(real.dtype), real, shares.view(-1, *[1] * (real.dim() - 1))).requires_grad_()
    (slopes,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty: Tensor = (slopes.flatten(1).norm(dim=1) - 1).square().mean()
    return penalty
