"""Convolutional GAN for images of 8 to 128 pixels a side (DCGAN, Radford et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genbench import Data, Model, Unsuitable, hookimpl
from genbench_gan import adversarial
from genbench_gan.adversarial import Generator

SMALLEST, LARGEST = 8, 128
INITIAL_DEVIATION = 0.02
KERNEL, STRIDE, PADDING = 4, 2, 1  # halves a side, rounded down


def build(
    shape: torch.Size,
    device: torch.device,
    latent: int = 100,
    channels: int = 32,
    learning_rate: float = 1e-3,
    beta1: float = 0.5,
    ema: float = 0.999,
) -> Model:
    """Build the networks and their optimisers.

    A. Radford, L. Metz, S. Chintala (2016), "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks". https://arxiv.org/abs/1511.06434

    Args:
        shape: (C, H, W), H and W from 8 to 128, not necessarily equal or powers of two.
        device: the model's device.
        latent: dimensions of z.
        channels: feature maps of the stage next to the image; each coarser stage has twice as many (128 in the paper).
        learning_rate: Adam's, above 0.
        beta1: Adam's, in [0, 1).
        ema: decay of the averaged generator that samples are drawn from, in [0, 1); 0 samples the latest weights.

    Raises:
        Unsuitable: the image size is out of range.
        ValueError: an option is out of its domain.
    """
    colours, height, width = shape
    if min(height, width) < SMALLEST or max(height, width) > LARGEST:
        raise Unsuitable(f"takes images of {SMALLEST} to {LARGEST} pixels a side, got {height}×{width}")
    adversarial.check("latent", latent, 1)
    adversarial.check("channels", channels, 1)
    sizes = stage_sizes(height, width)
    widths = [colours, *(channels * 2**stage for stage in range(len(sizes) - 1))]
    generator = Generator(latent, *_generator_layers(latent, sizes[::-1], widths[::-1]))
    discriminator = nn.Sequential(*_discriminator_layers(sizes, widths))
    for network in (generator, discriminator):
        network.apply(_initialise)
        # A tenth faster on a CPU at 28 pixels a side, a quarter at 8: docs/performance.md.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return adversarial.assemble(generator, discriminator, device, learning_rate, beta1, ema)


def stage_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Return (height, width) from the image to the coarsest stage: halved while both are 8 or more, at least twice.

    >>> stage_sizes(64, 64)  # as in the paper: to 4 × 4
    [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4)]
    >>> stage_sizes(28, 28)
    [(28, 28), (14, 14), (7, 7)]
    >>> stage_sizes(8, 8)
    [(8, 8), (4, 4), (2, 2)]
    """
    sizes = [(height, width)]
    while min(sizes[-1]) >= SMALLEST or len(sizes) < 3:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def _generator_layers(latent: int, sizes: list[tuple[int, int]], widths: list[int]) -> list[nn.Module]:
    """Return the layers from latents to images; `sizes` and `widths` run from the coarsest stage to the image."""
    first = (widths[0], *sizes[0])
    layers: list[nn.Module] = [
        nn.Linear(latent, torch.Size(first).numel(), bias=False),
        nn.Unflatten(1, first),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(),
    ]
    for stage in range(1, len(sizes)):
        # A side that was rounded down gets its odd pixel back.
        odd = (sizes[stage][0] % 2, sizes[stage][1] % 2)
        last = stage == len(sizes) - 1
        inputs, outputs = widths[stage - 1], widths[stage]
        layers.append(nn.ConvTranspose2d(inputs, outputs, KERNEL, STRIDE, PADDING, output_padding=odd, bias=last))
        layers += [nn.Tanh()] if last else [nn.BatchNorm2d(outputs), nn.ReLU()]
    return layers


def _discriminator_layers(sizes: list[tuple[int, int]], widths: list[int]) -> list[nn.Module]:
    """Return the layers from images to logits; `sizes` and `widths` run from the image to the coarsest stage."""
    layers: list[nn.Module] = []
    for stage in range(1, len(sizes)):
        first = stage == 1
        inputs, outputs = widths[stage - 1], widths[stage]
        layers.append(nn.Conv2d(inputs, outputs, KERNEL, STRIDE, PADDING, bias=first))
        layers += [*([] if first else [nn.BatchNorm2d(outputs)]), nn.LeakyReLU(0.2)]
    return [*layers, nn.Flatten(), nn.Linear(widths[-1] * torch.Size(sizes[-1]).numel(), 1)]


def _initialise(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02²) and BatchNorm's scales from N(1, 0.02²); biases and shifts are 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0, INITIAL_DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@hookimpl
def build_model(data: Data, options: dict[str, object], device: torch.device) -> Model:
    if data.kind != "image":
        raise Unsuitable("takes images only")
    return build(data.shape, device, **options)  # type: ignore[arg-type]  # the user's: genbench checks their types


@hookimpl
def train_step(model: Model, batch: Tensor) -> dict[str, Tensor]:
    batch = batch.contiguous(memory_format=torch.channels_last)
    # BatchNorm in the discriminator must see images and samples separately, each with their own statistics.
    return adversarial.train_step(model, batch, joint=False)


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    return adversarial.sample(model, count, generator)
