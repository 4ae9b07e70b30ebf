"""`CodeDensity`: a density over codes, fitted after training, from which an autoencoder can be sampled."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genbench_ae.mixture import fit_mixture

__all__ = ["CodeDensity"]


class CodeDensity(nn.Module):
    """A Gaussian (one component) or a mixture of Gaussians over codes; standard normal until it is fitted.

    Ex-post density estimation: Ghosh, Sajjadi, Vergari, Black, Schölkopf (2020), "From Variational to Deterministic
    Autoencoders", section 4, https://arxiv.org/abs/1903.12436.

    Args:
        bottleneck: D, the length of a code.
        components: K.

    Its state is in the buffers `weights` (K,), `means` (K, D) and `factors` (K, D, D), so a checkpoint holds it.

    Example:
        >>> import torch
        >>> density = CodeDensity(bottleneck=2, components=1)
        >>> density.fit(torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
        >>> density.means
        tensor([[1., 2.]])
        >>> density.sample(5, torch.Generator().manual_seed(0)).shape
        torch.Size([5, 2])
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, bottleneck: int, components: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, bottleneck))
        self.register_buffer("factors", torch.eye(bottleneck).repeat(components, 1, 1))

    def fit(self, codes: Tensor) -> None:
        """Fit to codes (N, D), in float64 on the CPU, so the same on every device; discards any earlier fit.

        Raises:
            ValueError: a code is not finite, which means that training has diverged.
        """
        exact = codes.detach().to("cpu", torch.float64)
        if not exact.isfinite().all():
            raise ValueError("the codes of the training images are not finite: training has diverged")
        mixture, _ = fit_mixture(exact, len(self.weights))
        self.weights.copy_(mixture.weights)
        self.means.copy_(mixture.means)
        self.factors.copy_(mixture.factors)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Return codes (count, D); all randomness comes from `generator`, which is on the density's device."""
        device = self.means.device
        noise = torch.randn(count, self.means.shape[1], generator=generator, device=device)
        if len(self.weights) == 1:
            return self.means[0] + noise @ self.factors[0].mT
        component = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        candidates = self.means[:, None] + noise @ self.factors.mT  # (K, count, D): smaller than a factor per code
        return candidates[component, torch.arange(count, device=device)]
