"""Fully connected GAN with the non-saturating loss (Goodfellow et al. 2014)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from genbench import Data, Model, hookimpl
from genbench_gan import adversarial
from genbench_gan.adversarial import Generator

GENERATOR_WIDTHS = (256, 512, 1024)
OUTPUT_BOUND = 4 / GENERATOR_WIDTHS[-1] ** 0.5  # four times torch's: fd 17 instead of 34 on MNIST after 2,000 steps
DISCRIMINATOR_WIDTHS = (1024, 512, 256)


def build(
    shape: torch.Size,
    device: torch.device,
    latent: int = 100,
    generator_norm: Literal["batch", "none"] = "batch",
    dropout: float = 0.3,
    learning_rate: float = 2e-4,
    beta1: float = 0.5,
    ema: float = 0.999,
) -> Model:
    """Build the networks and their optimisers.

    I. Goodfellow et al. (2014), "Generative Adversarial Nets". https://arxiv.org/abs/1406.2661

    Args:
        shape: (C, H, W), any.
        device: the model's device.
        latent: dimensions of z.
        generator_norm: "batch" puts BatchNorm after each hidden layer of the generator, "none" gives the plain net,
            which needs many more steps.
        dropout: share of the discriminator's hidden units that are dropped, in [0, 1).
        learning_rate: Adam's, above 0.
        beta1: Adam's, in [0, 1).
        ema: decay of the averaged generator that samples are drawn from, in [0, 1); 0 samples the latest weights.

    Raises:
        ValueError: an option is out of its domain.
    """
    adversarial.check("latent", latent, 1)
    adversarial.check("dropout", dropout, 0.0, 1.0)
    if generator_norm not in ("batch", "none"):
        raise ValueError(f"generator_norm must be 'batch' or 'none', got {generator_norm!r}")
    generator = _generator(shape, latent, norm=generator_norm == "batch")
    return adversarial.assemble(generator, _discriminator(shape, dropout), device, learning_rate, beta1, ema)


def _generator(shape: torch.Size, latent: int, norm: bool) -> Generator:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((latent, *GENERATOR_WIDTHS)):
        # BatchNorm subtracts the mean, which cancels any bias.
        layers += [nn.Linear(inputs, outputs, bias=not norm), *([nn.BatchNorm1d(outputs)] if norm else []), nn.ReLU()]
    output = nn.Linear(GENERATOR_WIDTHS[-1], shape.numel())
    # Pixels are mostly black or white. With torch's initial weights the tanh starts out grey and learns slowly.
    nn.init.uniform_(output.weight, -OUTPUT_BOUND, OUTPUT_BOUND)
    layers += [output, nn.Tanh(), nn.Unflatten(1, shape)]
    return Generator(latent, *layers)


def _discriminator(shape: torch.Size, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise((shape.numel(), *DISCRIMINATOR_WIDTHS)):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(DISCRIMINATOR_WIDTHS[-1], 1))


@hookimpl
def build_model(data: Data, options: dict[str, object], device: torch.device) -> Model:
    adversarial.refuse_texts(data)
    return build(data.shape, device, **options)  # type: ignore[arg-type]  # the user's: genbench checks their types


@hookimpl
def train_step(model: Model, batch: Tensor) -> dict[str, Tensor]:
    return adversarial.train_step(model, batch, joint=True)


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    return adversarial.sample(model, count, generator)
