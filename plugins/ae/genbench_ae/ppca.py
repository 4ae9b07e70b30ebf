"""Probabilistic principal components: a linear Gaussian model, fitted in one pass, without training steps.

M. E. Tipping, C. M. Bishop (1999), "Probabilistic Principal Component Analysis",
https://doi.org/10.1111/1467-9868.00196
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from genbench import Data, Model, Unsuitable, hookimpl
from genbench_ae.assembly import refuse_texts

__all__ = ["before_training", "build", "build_model", "encode", "log_likelihood", "reconstruct", "sample", "train_step"]

LARGEST = 4096  # values per item: the covariance has the square of this


class Components(nn.Module):
    """p(x) = N(mean, W Wᵀ + σ² I) over items of D values, with W of q columns.

    Args:
        shape: the shape of an item.
        latent: q.
        levels: number of values that an entry of a stored item can take, spaced evenly from -1 to 1.

    Its state is in the buffers `mean` (D,), `weights` W (D, q) and `variance` σ² (): a standard normal until `fit`.
    """

    mean: Tensor
    weights: Tensor
    variance: Tensor

    def __init__(self, shape: torch.Size, latent: int, levels: int = 256) -> None:
        super().__init__()
        self.shape = shape
        self.step = 2 / (levels - 1)  # between neighbouring values
        size = shape.numel()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("weights", torch.zeros(size, min(latent, size)))
        self.register_buffer("variance", torch.ones(()))

    def fit(self, mean: Tensor, covariance: Tensor) -> None:
        """Set the maximum-likelihood parameters: equations 7 and 8 of the paper, in float64.

        Args:
            mean: (D,), mean of the data.
            covariance: (D, D), divided by the count.
        """
        values, vectors = torch.linalg.eigh(covariance)  # ascending
        q = self.weights.shape[1]
        kept, left_out = values[-q:].clamp(min=0), values[:-q].clamp(min=0)
        least = self.step**2 / 12  # variance of the noise that turns a stored value into a density
        variance = max(float(left_out.mean()) if len(left_out) else 0.0, least)
        self.mean.copy_(mean)
        self.weights.copy_(vectors[:, -q:] * (kept - variance).clamp(min=0).sqrt())
        self.variance.fill_(variance)

    def posterior_mean(self, items: Tensor) -> Tensor:
        """Return the mean of the latents given items (B, D): (B, q), by M⁻¹ Wᵀ (x − μ) with M = Wᵀ W + σ² I."""
        weights = self.weights.double()
        inner = weights.mT @ weights + self.variance.double() * torch.eye(weights.shape[1], device=weights.device)
        codes: Tensor = torch.linalg.solve(inner, weights.mT @ (items - self.mean).double().mT).mT
        return codes

    def log_density(self, items: Tensor) -> Tensor:
        """Return log p(x) of items (B, D) in nats, (B,) float64."""
        weights, variance = self.weights.double(), self.variance.double()
        size, q = weights.shape
        centred = (items - self.mean).double()
        inner = weights.mT @ weights + variance * torch.eye(q, device=weights.device)
        projected = centred @ weights
        quadratic = centred.square().sum(1) - (projected * torch.linalg.solve(inner, projected.mT).mT).sum(1)
        log_determinant = (size - q) * variance.log() + torch.linalg.slogdet(inner).logabsdet
        density: Tensor = -0.5 * (size * math.log(2 * math.pi) + log_determinant + quadratic / variance)
        return density


@hookimpl
def build_model(data: Data, options: dict[str, Any], device: torch.device) -> Model:
    """Allocate the components; `options` are the keyword arguments of `build`."""
    refuse_texts(data)
    return build(data.shape, device, data.levels, **options)


def build(shape: torch.Size, device: torch.device, levels: int, *, latent: int = 32) -> Model:
    """Return a model with `latent` components, at most as many as an item has values, each value one of `levels`.

    Raises:
        Unsuitable: the items have more than 4,096 values.
        ValueError: a value is out of its domain; a one-line message.
    """
    if latent < 1:
        raise ValueError(f"latent must be at least 1, not {latent}")
    if shape.numel() > LARGEST:
        raise Unsuitable(f"takes items of at most {LARGEST:,} values, not {shape.numel():,}: it fits a covariance")
    return Model(nn.ModuleDict({"components": Components(shape, latent, levels)}).to(device), {})


@hookimpl
def before_training(model: Model, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
    """Fit the mean and covariance of all training items, in one pass."""
    components = _components(model)
    size = len(components.mean)
    count, total = 0, components.mean.new_zeros(size, dtype=torch.float64)
    squares = components.mean.new_zeros(size, size, dtype=torch.float64)
    for batch, _ in batches:
        items = batch.flatten(1).double()
        count += len(items)
        total += items.sum(0)
        squares += items.mT @ items
    mean = total / count
    components.fit(mean, squares / count - torch.outer(mean, mean))


@hookimpl
def train_step(model: Model) -> dict[str, Tensor]:
    """Do nothing: the model has already been fitted."""
    return {}


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    """Draw from the Gaussian, clipped to [-1, 1]: (count, *shape)."""
    components = _components(model)
    size, q = components.weights.shape
    drawn = torch.randn(count, q + size, generator=generator, device=generator.device)
    items = components.mean + drawn[:, :q] @ components.weights.mT + components.variance.sqrt() * drawn[:, q:]
    shaped: Tensor = items.clamp(-1, 1).unflatten(1, components.shape)
    return shaped


@hookimpl
def reconstruct(model: Model, batch: Tensor) -> Tensor:
    """Return the projection of items (B, ...) onto the components: the optimal linear one, equation 15."""
    components = _components(model)
    weights = components.weights.double()
    codes = components.posterior_mean(batch.flatten(1))
    inner = weights.mT @ weights
    kept = torch.linalg.pinv(inner) @ (
        inner + components.variance.double() * torch.eye(len(inner), device=inner.device)
    )
    items = components.mean + (codes @ kept.mT @ weights.mT).to(batch.dtype)
    restored: Tensor = items.clamp(-1, 1).view_as(batch)
    return restored


@hookimpl
def encode(model: Model, batch: Tensor) -> Tensor:
    """Return the posterior mean of the latents: (B, latent)."""
    return _components(model).posterior_mean(batch.flatten(1)).float()


@hookimpl
def log_likelihood(model: Model, batch: Tensor, generator: torch.Generator) -> Tensor:
    """Return a lower bound on the log-likelihood of stored items in nats, (B,), by uniform dequantisation."""
    components, items = _components(model), batch.flatten(1)
    noise = torch.rand(items.shape, generator=generator, device=items.device) - 0.5
    return components.log_density(items + components.step * noise) + items.shape[1] * math.log(components.step)


def _components(model: Model) -> Components:
    found = model.networks["components"]
    assert isinstance(found, Components)
    return found
