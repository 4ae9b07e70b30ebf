"""A small generative adversarial network with the non-saturating loss.

I. Goodfellow et al. (2014), "Generative Adversarial Nets", section 3.
https://arxiv.org/abs/1406.2661
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import Data, Model, Unsuitable, hookimpl

LATENT = 64


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
    rate: float = 3e-4,
) -> Model:
    """Build both networks (`width` units per hidden layer), each with its own Adam."""
    generator = nn.Sequential(
        nn.Linear(LATENT, width, bias=False),  # BatchNorm has its own
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, shape.numel()),
        nn.Tanh(),
        nn.Unflatten(1, shape),
    )
    discriminator = nn.Sequential(
        nn.Flatten(),
        nn.Linear(shape.numel(), width),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3),
        nn.Linear(width, width),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3),
        nn.Linear(width, 1),
    )
    networks = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
    networks.to(device)
    optimizers: dict[str, torch.optim.Optimizer] = {}
    for name, network in networks.items():
        adam = torch.optim.Adam(network.parameters(), rate, betas=(0.5, 0.999))
        optimizers[name] = adam
    return Model(networks, optimizers)


@hookimpl
def train_step(model: Model, batch: Tensor) -> dict[str, Tensor]:
    discriminator = model.networks["discriminator"]
    latents = torch.randn(len(batch), LATENT, device=batch.device)
    fakes = model.networks["generator"](latents)

    # The discriminator learns positive logits for images and negative ones for fakes ...
    real, fake = discriminator(batch), discriminator(fakes.detach())
    told_apart = F.softplus(-real).mean() + F.softplus(fake).mean()
    update(model.optimizers["discriminator"], told_apart)

    # ... and the generator learns to produce fakes that pass for images.
    passed_off = F.softplus(-discriminator(fakes)).mean()
    update(model.optimizers["generator"], passed_off)
    return {"discriminator": told_apart.detach(), "generator": passed_off.detach()}


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    device = generator.device
    latents = torch.randn(count, LATENT, generator=generator, device=device)
    images: Tensor = model.networks["generator"](latents)
    return images
