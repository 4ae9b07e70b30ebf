"""A small variational autoencoder with a logistic likelihood of 8-bit pixels.

D. P. Kingma and M. Welling (2014), "Auto-Encoding Variational Bayes", equation 10.
https://arxiv.org/abs/1312.6114
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import Data, Model, Unsuitable, hookimpl

LATENT = 16
HALF_BIN = 1 / 255  # 8-bit values lie 2 / 255 apart in [-1, 1]


@hookimpl
def build_model(
    data: Data,
    options: dict[str, Any],
    device: torch.device,
) -> Model:
    if data.kind != "image":
        raise Unsuitable("takes only images")
    return build(data.shape, device, **options)


def build(
    shape: torch.Size,
    device: torch.device,
    width: int = 256,
    rate: float = 1e-3,
) -> Model:
    """Build the encoder and the decoder (`width` units per hidden layer)."""
    channels, height, side = shape
    encoder = nn.Sequential(
        nn.Flatten(),
        nn.Linear(shape.numel(), width),
        nn.ReLU(),
        nn.Linear(width, 2 * LATENT),
    )
    decoder = nn.Sequential(
        nn.Linear(LATENT, width),
        nn.ReLU(),
        nn.Linear(width, 2 * shape.numel()),
        nn.Unflatten(1, (2 * channels, height, side)),
    )
    networks = nn.ModuleDict({"encoder": encoder, "decoder": decoder}).to(device)
    return Model(networks, {"both": torch.optim.Adam(networks.parameters(), rate)})


def elbo(model: Model, images: Tensor, noise: Tensor) -> Tensor:
    """Return the evidence lower bound of each 8-bit image: (B,) nats."""
    mean, log_variance = model.networks["encoder"](images).chunk(2, dim=1)
    codes = mean + (log_variance / 2).exp() * noise
    divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2
    center, log_scale = model.networks["decoder"](codes).chunk(2, dim=1)
    mass = log_mass(images, center.tanh(), log_scale.clamp(min=-4).exp())
    bound: Tensor = mass.flatten(1).sum(1) - divergence
    return bound


def log_mass(images: Tensor, center: Tensor, scale: Tensor) -> Tensor:
    """Return the log-probability of each pixel's bin under a logistic distribution."""
    upper = (images + HALF_BIN - center) / scale
    lower = (images - HALF_BIN - center) / scale
    # The outermost bins reach to infinity, so that the 256 probabilities sum to 1.
    upper = upper.masked_fill(images > 1 - HALF_BIN, torch.inf)
    lower = lower.masked_fill(images < HALF_BIN - 1, -torch.inf)
    # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u))
    gap = torch.log1p(-torch.exp(lower - upper))
    return F.logsigmoid(upper) + F.logsigmoid(-lower) + gap


@hookimpl
def train_step(model: Model, batch: Tensor) -> dict[str, Tensor]:
    noise = torch.randn(len(batch), LATENT, device=batch.device)
    loss = -elbo(model, batch, noise).mean()
    model.optimizers["both"].zero_grad()
    loss.backward()
    model.optimizers["both"].step()
    return {"negative_elbo": loss.detach()}


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    device = generator.device
    return decode(model, torch.randn(count, LATENT, generator=generator, device=device))


def decode(model: Model, codes: Tensor) -> Tensor:
    center, _ = model.networks["decoder"](codes).chunk(2, dim=1)
    return torch.tanh(center)


@hookimpl
def encode(model: Model, batch: Tensor) -> Tensor:
    mean, _ = model.networks["encoder"](batch).chunk(2, dim=1)
    return torch.clone(mean)


@hookimpl
def reconstruct(model: Model, batch: Tensor) -> Tensor:
    return decode(model, encode(model, batch))


@hookimpl
def log_likelihood(
    model: Model,
    batch: Tensor,
    generator: torch.Generator,
) -> Tensor:
    shape = (len(batch), LATENT)
    noise = torch.randn(shape, generator=generator, device=batch.device)
    return elbo(model, batch, noise)
