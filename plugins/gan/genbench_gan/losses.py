"""The non-saturating adversarial losses, on logits (Goodfellow et al. 2014)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["discriminator_loss", "generator_loss"]


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    r"""Return the cross-entropy of distinguishing images from samples, which the discriminator minimises.

    With D(x) = sigmoid(logit), as -log sigmoid(a) = softplus(-a) and -log(1 - sigmoid(a)) = softplus(a):

    .. math:: L_D = -E_{x \sim data} \log D(x) - E_z \log(1 - D(G(z)))

    Valid for all finite logits, without overflow; 2 ln 2 if D cannot distinguish them (all logits 0).

    I. Goodfellow et al. (2014), "Generative Adversarial Nets", equation 1. https://arxiv.org/abs/1406.2661

    Args:
        real_logits: (B, 1) for images of the data.
        fake_logits: (B, 1) for samples.

    Returns:
        A 0-d tensor, in nats.

    Example:
        >>> import torch
        >>> discriminator_loss(torch.zeros(4, 1), torch.zeros(4, 1)).item()  # 2 ln 2
        1.3862943649291992
    """
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    r"""Return the non-saturating loss, which the generator minimises.

    .. math:: L_G = -E_z \log D(G(z))

    The minimax game's own log(1 - D(G(z))) has a vanishing gradient where D rejects the samples; this one does not.
    Valid for all finite logits; ln 2 if all are 0.

    I. Goodfellow et al. (2014), "Generative Adversarial Nets", section 3. https://arxiv.org/abs/1406.2661

    Args:
        fake_logits: (B, 1) for samples.

    Returns:
        A 0-d tensor, in nats.

    Example:
        >>> import torch
        >>> generator_loss(torch.zeros(4, 1)).item()  # ln 2
        0.6931471824645996
    """
    return F.softplus(-fake_logits).mean()
