"""What the fully connected and convolutional GANs share: assembly into a `Model`, one training step, and sampling."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from genbench import Data, Model, Unsuitable
from genbench_gan.average import Average
from genbench_gan.losses import discriminator_loss, generator_loss

__all__ = ["Generator", "assemble", "check", "refuse_texts", "sample", "train_step", "update"]

BETA2 = 0.999


class Generator(nn.Sequential):
    """The layers from latents (B, latent) to images (B, C, H, W) in [-1, 1]."""

    def __init__(self, latent: int, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.latent = latent


def refuse_texts(data: Data) -> None:
    """Raise `Unsuitable` for texts: their tokens are symbols, with nothing in between."""
    if data.kind == "text":
        raise Unsuitable("takes no texts: their tokens are symbols, and it returns real numbers")


def check(name: str, value: float, lowest: float, below: float = math.inf) -> None:
    """Raise `ValueError` if an option's value is not in [lowest, below)."""
    if not lowest <= value < below:  # written so that NaN is refused
        domain = f"at least {lowest}" if below == math.inf else f"at least {lowest} and below {below}"
        raise ValueError(f"{name} must be {domain}, got {value}")


def assemble(
    generator: Generator,
    discriminator: nn.Module,
    device: torch.device,
    learning_rate: float,
    beta1: float,
    ema: float,
    beta2: float = BETA2,
) -> Model:
    """Return the `Model` of a generator and a discriminator, each with its own Adam, on `device`.

    Args:
        generator: maps latents to items.
        discriminator: maps items (B, ...) to logits or scores (B, 1).
        device: the model's device.
        learning_rate: Adam's, for both.
        beta1: Adam's decay of the first moment, for both.
        ema: decay of the generator's `Average`, the network that samples are drawn from; 0 leaves it out.
        beta2: Adam's decay of the second moment, for both.

    Raises:
        ValueError: a learning rate, beta1 or ema out of its domain.
    """
    check("learning_rate", learning_rate, 0.0)
    check("beta1", beta1, 0.0, 1.0)
    check("ema", ema, 0.0, 1.0)
    networks = nn.ModuleDict({"generator": generator, "discriminator": discriminator}).to(device)
    # One kernel updates all weights, on devices that have one.
    fused = device.type in ("cpu", "cuda")
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.Adam(network.parameters(), learning_rate, betas=(beta1, beta2), fused=fused)
        for name, network in networks.items()
    }
    if ema > 0:
        networks["average"] = Average(generator, ema)
    return Model(networks, optimizers, capturable=True)


def train_step(model: Model, batch: Tensor, joint: bool) -> dict[str, Tensor]:
    """Update the discriminator, then the generator, on one batch, and return both losses.

    One generator pass serves both updates: the samples that the discriminator has just learned to reject are judged
    again, by the updated discriminator, for the generator's loss.

    Args:
        model: from `assemble`, in training mode.
        batch: (B, C, H, W) in [-1, 1].
        joint: judge images and samples in one pass of 2B, which is faster; only for a discriminator that treats each
            image independently, which one with BatchNorm does not.

    Returns:
        Detached 0-d tensors under "discriminator" and "generator".
    """
    generator = cast(Generator, model.networks["generator"])
    discriminator = model.networks["discriminator"]
    samples = generator(torch.randn(len(batch), generator.latent, device=batch.device))

    if joint:
        real_logits, fake_logits = discriminator(torch.cat([batch, samples.detach()])).chunk(2)
    else:
        real_logits, fake_logits = discriminator(batch), discriminator(samples.detach())
    told_apart = discriminator_loss(real_logits, fake_logits)
    update(model, "discriminator", told_apart)

    # The discriminator's own gradients are not needed here, only those it passes back to the generator.
    discriminator.requires_grad_(False)
    passed_off = generator_loss(discriminator(samples))
    discriminator.requires_grad_(True)
    update(model, "generator", passed_off)

    if "average" in model.networks:
        cast(Average, model.networks["average"]).update(generator)
    return {"discriminator": told_apart.detach(), "generator": passed_off.detach()}


def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    """Return G(z) for `count` latents z ~ N(0, I), (count, C, H, W), with the averaged weights if they are kept."""
    latent = cast(Generator, model.networks["generator"]).latent
    latents = torch.randn(count, latent, generator=generator, device=generator.device)
    images: Tensor = model.networks["average" if "average" in model.networks else "generator"](latents)
    return images


def update(model: Model, name: str, loss: Tensor) -> None:
    """Step one network's optimiser on the gradient of a loss, and clear the gradient."""
    optimizer = model.optimizers[name]
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
