"""The evidence lower bound, both as the training loss and as the reported log-likelihood."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genbench_vae.likelihoods import Likelihood

__all__ = ["Objective", "kl_divergence", "log_weights"]


class Objective(nn.Module):
    r"""The β-VAE's loss, with the likelihood's own parameters.

    .. math:: L(x) = E_{q(z|x)}[-\log p(x|z)] + \beta\, KL(q(z|x) \,\|\, N(0, I))

    With beta = 1 it is the negative ELBO of D. P. Kingma, M. Welling (2014), "Auto-Encoding Variational Bayes",
    equation 10, https://arxiv.org/abs/1312.6114; beta is from I. Higgins et al. (2017), "beta-VAE: Learning Basic
    Visual Concepts with a Constrained Variational Framework", equation 4, https://openreview.net/forum?id=Sy2fzU9gl.
    The expectation is estimated with one code per item.

    Args:
        likelihood: p(x | z), from the decoder's output.
        beta: weight of the KL divergence, at least 0.
        importance_samples: codes per item that `log_likelihood` draws, at least 1.
    """

    def __init__(self, likelihood: Likelihood, beta: float, importance_samples: int) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.beta = beta
        self.importance_samples = importance_samples

    def forward(self, output: Tensor, images: Tensor, mean: Tensor, log_variance: Tensor) -> dict[str, Tensor]:
        """Return "loss", "reconstruction" and "kl", 0-d, in nats per item, averaged over the batch.

        Args:
            output: (B, *shape), the decoder's output.
            images: (B, *shape), items in [-1, 1].
            mean: (B, latent), mean of q(z | x).
            log_variance: (B, latent), log-variance of q(z | x).
        """
        reconstruction = self.likelihood.loss(output, images).mean()
        kl = kl_divergence(mean, log_variance).mean()
        return {"loss": reconstruction + self.beta * kl, "reconstruction": reconstruction, "kl": kl}


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Return KL(N(mean, exp(log_variance)) || N(0, I)) in nats: (B,) from (B, latent) twice.

    .. math:: KL = \tfrac12 \sum_j \mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2

    D. P. Kingma, M. Welling (2014), appendix B. https://arxiv.org/abs/1312.6114

    >>> import torch
    >>> kl_divergence(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2))
    tensor([2.])
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def log_weights(
    likelihood: Likelihood, decoder: nn.Module, levels: Tensor, mean: Tensor, log_variance: Tensor, noise: Tensor
) -> Tensor:
    r"""Return log p(x | z) + log p(z) - log q(z | x) in nats for one code per item, z = mean + sigma noise: (B,).

    Its mean over standard normal noise is the ELBO, and the logarithm of the mean of its exponential over K draws is
    the tighter bound of Y. Burda, R. Grosse, R. Salakhutdinov (2016), "Importance Weighted Autoencoders", equation 8,
    https://arxiv.org/abs/1509.00519. If q(z | x) is exact, it is log p(x) whatever the noise, unlike the form with a
    closed-form KL.

    Args:
        likelihood: p(x | z).
        decoder: maps (B, latent) to (B, *shape).
        levels: (B, *shape) floats, from 0 to the number of levels minus one.
        mean: (B, latent).
        log_variance: (B, latent).
        noise: (B, latent).
    """
    codes = mean + torch.exp(0.5 * log_variance) * noise
    evidence = likelihood.log_mass(decoder(codes).float(), levels).flatten(1).sum(1)
    return evidence + 0.5 * (noise.square() + log_variance - codes.square()).sum(1)
