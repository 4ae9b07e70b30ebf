"""The distribution of a value given the latent code: `LIKELIHOODS` names Bernoulli, Gaussian and discretised logistic.

Each has two methods. `loss` is the training objective, as in its paper. `log_mass`, which bits/dim needs, is the
probability of each value that a stored entry can take, 256 for an 8-bit pixel and 65,536 for a 16-bit audio sample: it
sums to one over them, with nothing added to the data. Value k covers the interval of half a step to each
side of it; the first and the last value include the tails.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LIKELIHOODS", "Bernoulli", "Gaussian", "Likelihood", "Logistic"]


class Likelihood(nn.Module, ABC):
    """Values that are independent given the decoder's output, which is one real number per value.

    Shapes: output, images and levels are all (B, C, H, W), or (B, C, T) for clips; a decoder needs to know nothing
    about the likelihood.

    Args:
        levels: number of values that an entry can take, spaced evenly from -1 to 1.
    """

    def __init__(self, levels: int = 256) -> None:
        super().__init__()
        self.greatest = levels - 1
        self.step = 2 / self.greatest  # between neighbouring values

    @abstractmethod
    def image(self, output: Tensor) -> Tensor:
        """Return the image in [-1, 1] that represents the distribution: its mean, or its median."""

    @abstractmethod
    def loss(self, output: Tensor, images: Tensor) -> Tensor:
        """Return the loss of each image, nats summed over its pixels: (B,)."""

    @abstractmethod
    def log_mass(self, output: Tensor, levels: Tensor) -> Tensor:
        """Return the log-probability in nats of each of the values `levels` (from 0 to `greatest`, as floats)."""


class Bernoulli(Likelihood):
    r"""Binary cross-entropy with grey levels as targets, as is customary; measured as a continuous Bernoulli.

    .. math:: L(x) = -\sum_i y_i \log \lambda_i + (1 - y_i) \log(1 - \lambda_i), \quad y = (x + 1) / 2,
              \; \lambda = \mathrm{sigmoid}(o)

    The loss is D. P. Kingma, M. Welling (2014), "Auto-Encoding Variational Bayes", appendix C.1.
    https://arxiv.org/abs/1312.6114

    For grey levels it is not the logarithm of a distribution: it lacks the constant that makes the density of y
    integrate to one. With that constant it is the continuous Bernoulli, whose density is proportional to exp(o y) and
    whose integral over [k/n, (k+1)/n], with n levels, is

    .. math:: \log P(k) = o k / n + \log \frac{\exp(o / n) - 1}{\exp(o) - 1}.

    G. Loaiza-Ganem, J. P. Cunningham (2019), "The continuous Bernoulli: fixing a pervasive error in variational
    autoencoders", equation 4. https://arxiv.org/abs/1907.06845
    """

    def image(self, output: Tensor) -> Tensor:
        """Return the mean of the Bernoulli, scaled to [-1, 1]."""
        return 2 * torch.sigmoid(output) - 1

    def loss(self, output: Tensor, images: Tensor) -> Tensor:
        targets = (images + 1) / 2
        return F.binary_cross_entropy_with_logits(output, targets, reduction="none").flatten(1).sum(1)

    def log_mass(self, output: Tensor, levels: Tensor) -> Tensor:
        # P(k; o) = P(n - 1 - k; -o), so only falling exponentials are needed, which cannot overflow. At o = 0 the
        # quotient is 0 / 0; from 1e-6 on, float32 represents it to the last digit.
        count = self.greatest + 1
        rate = output.abs().clamp_min(1e-6) / count
        steps = torch.where(output < 0, levels, self.greatest - levels)
        return torch.log(torch.expm1(-rate) / torch.expm1(-count * rate)) - rate * steps


class Gaussian(Likelihood):
    r"""A Gaussian around tanh(o) with one learned standard deviation for all values.

    .. math:: L(x) = \frac{\|x - \tanh(o)\|^2}{2\sigma^2} + D \log \frac{\sigma \sqrt{2\pi}}{\mathrm{STEP}},
              \qquad P(k) = \Phi\Big(\frac{b_{k+1} - \tanh o}{\sigma}\Big) - \Phi\Big(\frac{b_k - \tanh o}{\sigma}\Big)

    The loss is the density at the value times the width of its interval, so it is approximately in nats of stored data:
    P(k) integrates the density over the interval. Sigma stays above half a step, where the two diverge.

    O. Rybkin, K. Daniilidis, S. Levine (2021), "Simple and Effective VAE Training with Calibrated Decoders",
    equations 2 and 3, and section 4 for the (soft) bound. https://arxiv.org/abs/2006.13202
    """

    def __init__(self, levels: int = 256) -> None:
        super().__init__(levels)
        self.free_log_sigma = nn.Parameter(torch.zeros(()))

    def log_sigma(self) -> Tensor:
        """Return the logarithm of the standard deviation, 0-d, in the units of [-1, 1]."""
        lowest = math.log(self.step / 2)
        return lowest + F.softplus(self.free_log_sigma - lowest)

    def image(self, output: Tensor) -> Tensor:
        """Return the mean."""
        return torch.tanh(output)

    def loss(self, output: Tensor, images: Tensor) -> Tensor:
        log_sigma = self.log_sigma()
        squares = (images - torch.tanh(output)).square().flatten(1).sum(1)
        per_pixel = log_sigma + 0.5 * math.log(2 * math.pi) - math.log(self.step)
        return 0.5 * squares * torch.exp(-2 * log_sigma) + images[0].numel() * per_pixel

    def log_mass(self, output: Tensor, levels: Tensor) -> Tensor:
        if self.greatest > 255:  # such a narrow interval falls between two float32 numbers
            output, levels = output.double(), levels.double()
        scale = torch.exp(-self.log_sigma())
        centre = levels * self.step - 1 - torch.tanh(output)
        lower = torch.where(levels == 0, -torch.inf, (centre - self.step / 2) * scale)
        upper = torch.where(levels == self.greatest, torch.inf, (centre + self.step / 2) * scale)
        # Mirrored to the lower tail, where the logarithm of the distribution function keeps its digits.
        above = centre > 0
        near = torch.special.log_ndtr(torch.where(above, -lower, upper))
        far = torch.special.log_ndtr(torch.where(above, -upper, lower))
        mass: Tensor = near + torch.log(-torch.expm1(far - near))
        return mass


class Logistic(Likelihood):
    r"""A discretised logistic around 1.5 tanh(o) with one learned scale for all values: the loss is exactly -log P.

    .. math:: P(k) = \mathrm{sigmoid}\Big(\frac{b_{k+1} - \mu}{s}\Big) - \mathrm{sigmoid}\Big(\frac{b_k - \mu}{s}\Big),
              \quad \mu = \tfrac32 \tanh(o), \; b_0 = -\infty, \; b_n = \infty

    Because the two outer values include the tails, a location beyond -1 or 1 makes pure black or white nearly certain
    at no cost to the scale; this is why the location has a wider range than the values.

    D. P. Kingma, T. Salimans, R. Jozefowicz, X. Chen, I. Sutskever, M. Welling (2016), "Improving Variational Inference
    with Inverse Autoregressive Flow", section 5.2; the outer values as in T. Salimans, A. Karpathy, X. Chen,
    D. P. Kingma (2017), "PixelCNN++", section 2.1. https://arxiv.org/abs/1606.04934, https://arxiv.org/abs/1701.05517
    """

    REACH = 1.5

    def __init__(self, levels: int = 256) -> None:
        super().__init__(levels)
        self.log_scale = nn.Parameter(torch.tensor(-1.0))

    def image(self, output: Tensor) -> Tensor:
        """Return the mean of the logistic with its tails moved to -1 and 1: the location, softly clipped."""
        location, scale = self._location(output), self.log_scale.exp()
        below_one = F.softplus((location + 1) / scale) - F.softplus((location - 1) / scale)
        return (below_one * scale - 1).clamp(-1, 1)  # only rounding can leave the range

    def loss(self, output: Tensor, images: Tensor) -> Tensor:
        return -self._log_mass(output, images).flatten(1).sum(1)

    def log_mass(self, output: Tensor, levels: Tensor) -> Tensor:
        return self._log_mass(output, levels * self.step - 1)

    def _location(self, output: Tensor) -> Tensor:
        return self.REACH * torch.tanh(output)

    def _log_mass(self, output: Tensor, images: Tensor) -> Tensor:
        # sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)): three factors without cancellation.
        inverse = torch.exp(-self.log_scale)
        centre, half = (images - self._location(output)) * inverse, self.step / 2 * inverse
        below_upper, above_lower = F.logsigmoid(centre + half), F.logsigmoid(half - centre)
        inner = below_upper + above_lower + torch.log(-torch.expm1(-2 * half))
        edge = 1 - self.step / 2
        return torch.where(images < -edge, below_upper, torch.where(images > edge, above_lower, inner))


LIKELIHOODS: dict[str, type[Likelihood]] = {"bernoulli": Bernoulli, "gaussian": Gaussian, "logistic": Logistic}
