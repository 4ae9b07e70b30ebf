"""Gaussian mixtures fitted by deterministic expectation-maximisation in float64: the densities over codes.

Dempster, Laird, Rubin (1977), "Maximum likelihood from incomplete data via the EM algorithm",
https://doi.org/10.1111/j.2517-6161.1977.tb01600.x
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Mixture", "fit_mixture", "jitter", "responsibilities"]

RELATIVE_JITTER = 1e-6  # of the codes' mean variance: far above float64 rounding, far below anything visible
LEAST_VARIANCE = 1e-12  # for codes that do not vary at all


class Mixture(NamedTuple):
    """Weights (K,), means (K, D) and lower-triangular Cholesky factors (K, D, D) of the covariances, float64."""

    weights: Tensor
    means: Tensor
    factors: Tensor


def fit_mixture(
    codes: Tensor, components: int, iterations: int = 100, tolerance: float = 1e-3
) -> tuple[Mixture, list[float]]:
    """Fit a mixture of full-covariance Gaussians; one component gives the mean and covariance of the codes.

    Each covariance is the weighted one (divided by the count, not by the count minus one) plus `jitter(codes)` times
    the identity, so it has full rank however few or degenerate the codes are; a component that loses all its codes
    keeps a weight of zero. No random state is read: the same codes give the same mixture, bit for bit.

    Args:
        codes: (N, D) float64, N at least 1, finite.
        components: K, at least 1; may exceed N.
        iterations: maximum number of EM iterations.
        tolerance: stop when the objective, in nats per code, gains less than this.

    Returns:
        The mixture, and the objective before each of its updates, which never decreases (see `responsibilities`).

    Example:
        >>> import torch
        >>> mixture, _ = fit_mixture(torch.tensor([[0.0], [2.0], [10.0], [12.0]], dtype=torch.float64), 2)
        >>> mixture.means.flatten().sort().values
        tensor([ 1., 11.], dtype=torch.float64)
    """
    floor = jitter(codes)
    mixture = _maximise(codes, _hard_assignment(codes, components), floor)
    history: list[float] = []
    for _ in range(iterations if components > 1 else 0):
        shares, objective = responsibilities(codes, mixture, floor)
        history.append(objective)
        if len(history) > 1 and history[-1] - history[-2] < tolerance:
            break
        mixture = _maximise(codes, shares, floor)
    return mixture, history


def jitter(codes: Tensor) -> float:
    """Return the variance added to every direction: 1e-6 times trace(covariance) / D, and at least 1e-12."""
    return max(RELATIVE_JITTER * float(codes.var(0, correction=0).mean()), LEAST_VARIANCE)


def responsibilities(codes: Tensor, mixture: Mixture, floor: float) -> tuple[Tensor, float]:
    """Return each component's responsibility for each code, and the objective that EM maximises.

    The objective is mean_n log sum_k w_k N(x_n; m_k, C_k) exp(-floor trace(C_k^-1) / 2): the log-likelihood minus a
    term that is the exact price of the jitter. (C_k = S_k + floor I maximises the expected log-density of codes with
    noise of variance `floor` on them.) With this term the EM argument holds up to rounding; without it, approximately.

    Args:
        codes: (N, D) float64.
        mixture: K components.
        floor: the jitter that the mixture was fitted with.

    Returns:
        (N, K), with rows that sum to 1; nats per code.
    """
    dimensions = codes.shape[1]
    identity = torch.eye(dimensions, dtype=codes.dtype)
    columns = []
    for weight, mean, factor in zip(*mixture, strict=True):  # one component at a time keeps memory at N times D
        whitening = torch.linalg.solve_triangular(factor, identity, upper=False)
        distances = ((codes - mean) @ whitening.T).square().sum(1)  # squared Mahalanobis, (N,)
        price = floor * whitening.square().sum()  # floor * trace(C^-1)
        log_volume = factor.diagonal().log().sum() + dimensions / 2 * math.log(2 * math.pi)
        columns.append(weight.log() - log_volume - (distances + price) / 2)
    joint = torch.stack(columns, dim=1)  # (N, K)
    evidence = joint.logsumexp(dim=1, keepdim=True)
    return (joint - evidence).exp(), float(evidence.mean())


def _maximise(codes: Tensor, shares: Tensor, floor: float) -> Mixture:
    """Return the mixture that best fits the codes (N, D) given each component's share of each code, (N, K)."""
    masses = shares.sum(0)  # (K,)
    safe_masses = masses.clamp_min(torch.finfo(codes.dtype).tiny)  # an empty component: mean 0, covariance floor I
    means = shares.T @ codes / safe_masses[:, None]
    identity = torch.eye(codes.shape[1], dtype=codes.dtype)
    factors = []
    for share, mass, mean in zip(shares.T, safe_masses, means, strict=True):
        deviations = codes - mean
        scatter = (deviations * share[:, None]).T @ deviations
        factors.append(torch.linalg.cholesky(scatter / mass + floor * identity))
    return Mixture(masses / len(codes), means, torch.stack(factors))


def _hard_assignment(codes: Tensor, components: int) -> Tensor:
    """Return one-hot shares (N, K): each code belongs to the nearest of K codes chosen by k-means++.

    Arthur, Vassilvitskii (2007), "k-means++: the advantages of careful seeding",
    https://dl.acm.org/doi/10.5555/1283383.1283494; its draws come from a generator with a fixed seed.
    """
    draws = torch.rand(components, generator=torch.Generator().manual_seed(0), dtype=codes.dtype)
    nearest = torch.full((len(codes),), math.inf, dtype=codes.dtype)
    assigned = torch.zeros(len(codes), dtype=torch.int64)
    chosen = int(draws[0] * len(codes))
    for component in range(components):
        distances = (codes - codes[chosen]).square().sum(1)
        assigned[distances < nearest] = component
        nearest = torch.minimum(nearest, distances)
        if component + 1 < components:
            cumulative = nearest.cumsum(0)
            chosen = int(torch.searchsorted(cumulative, draws[component + 1] * cumulative[-1]))
    return torch.nn.functional.one_hot(assigned, components).to(codes.dtype)
