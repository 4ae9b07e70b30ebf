"""The evidence lower bound of `seq2seq-vae`: the weight of its divergence, word dropout, and importance weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genbench_sequence.autoencoder import ConditionalDecoder
from genbench_sequence.texts import log_probabilities

__all__ = ["Objective", "kl_divergence", "log_weights"]


class Objective(nn.Module):
    r"""The terms of the loss; it has no weights.

    .. math:: L = \overline{E_{q(z|x)}[-\log p(x|z)]} + w(s) \sum_j \max(\lambda, \overline{KL_j(x)}), \quad
              w(s) = \min(1, s / S)

    The bars are means over the batch, and KL_j is the divergence of the code's j-th number. With w = 1 and lambda = 0
    it is the negative ELBO of D. P. Kingma, M. Welling (2014), "Auto-Encoding Variational Bayes", equation 10,
    https://arxiv.org/abs/1312.6114.

    The increase of w, and word dropout, keep the decoder from learning to ignore the code: S. R. Bowman et al. (2016),
    "Generating Sentences from a Continuous Space", section 3.1, https://arxiv.org/abs/1511.06349. Their w is a sigmoid
    of the step; here it is linear. Up to lambda, a number's divergence costs nothing: "free bits", D. P. Kingma et al.
    (2016), "Improving Variational Inference with Inverse Autoregressive Flow", equation 15,
    https://arxiv.org/abs/1606.04934.

    Args:
        warm_up_steps: S, the steps over which the weight increases; 0 for none.
        free_nats: lambda, at least 0.
        word_dropout: probability that a symbol is hidden from the decoder.
        importance_samples: codes per text that `log_likelihood` draws, at least 1.
        temperature: of the symbols that `sample` draws.
    """

    def __init__(
        self, warm_up_steps: int, free_nats: float, word_dropout: float, importance_samples: int, temperature: float
    ) -> None:
        super().__init__()
        self.warm_up_steps = warm_up_steps
        self.free_nats = free_nats
        self.word_dropout = word_dropout
        self.importance_samples = importance_samples
        self.temperature = temperature

    def weight(self, step: int) -> float:
        """Return w, the weight of the divergence at a step.

        >>> [Objective(10, 0.0, 0.0, 1, 1.0).weight(step) for step in (0, 5, 10, 99)]
        [0.0, 0.5, 1.0, 1.0]
        """
        return min(1.0, step / self.warm_up_steps) if self.warm_up_steps else 1.0

    def cost(self, divergences: Tensor, step: int) -> Tensor:
        """Return the contribution of the codes' divergences, (B, latent), to the loss at a step: 0-d."""
        return self.weight(step) * divergences.mean(0).clamp(min=self.free_nats).sum()

    def dropped(self, tokens: Tensor) -> Tensor | None:
        """Draw which symbols of (B, L) are hidden from the decoder, from the global generator; None for none."""
        if self.word_dropout == 0:
            return None
        return torch.rand(tokens.shape, device=tokens.device) < self.word_dropout


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Return KL(N(mean, exp(log_variance)) || N(0, 1)) in nats for each number of the codes: (B, latent), like both.

    .. math:: KL_j = \tfrac12 (\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2)

    D. P. Kingma, M. Welling (2014), appendix B. https://arxiv.org/abs/1312.6114
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def log_weights(
    decoder: ConditionalDecoder, tokens: Tensor, mean: Tensor, log_variance: Tensor, noise: Tensor
) -> Tensor:
    r"""Return log p(x | z) + log p(z) - log q(z | x) in nats for one code per text, z = mean + sigma noise: (B,).

    Its mean over standard normal noise is the ELBO, and the logarithm of the mean of its exponential over K draws is
    the tighter bound of Y. Burda, R. Grosse, R. Salakhutdinov (2016), "Importance Weighted Autoencoders", equation 8,
    https://arxiv.org/abs/1509.00519.

    Args:
        decoder: p(x | z).
        tokens: (B, L), the texts.
        mean: (B, latent), mean of q(z | x).
        log_variance: (B, latent), log-variance of q(z | x).
        noise: (B, latent).
    """
    codes = mean + torch.exp(0.5 * log_variance) * noise
    evidence = log_probabilities(decoder(tokens, codes), tokens)
    return evidence + 0.5 * (noise.square() + log_variance - codes.square()).sum(1)
