"""Convolutional GAN of audio clips (WaveGAN, Donahue et al. 2019), trained as a Wasserstein GAN."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn

from genbench import Data, Model, Unsuitable, hookimpl
from genbench_gan import adversarial
from genbench_gan.adversarial import Generator
from genbench_gan.average import Average
from genbench_gan.phase_shuffle import PhaseShuffle
from genbench_gan.upsampling import KERNEL, PADDING, STRIDE, Upsample
from genbench_gan.wasserstein import distance, gradient_penalty

SHORTEST, LONGEST = 64, 131_072
COARSEST = 32  # maximum number of steps of the coarsest stage
BETA2 = 0.9
SLOPE = 0.2  # of LeakyReLU below 0


class Critic(nn.Sequential):
    """The layers from clips (B, C, T) to scores (B, 1), with their training settings.

    Args:
        steps: updates per training step.
        penalty: weight of the gradient penalty.
    """

    def __init__(self, steps: int, penalty: float, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.steps = steps
        self.penalty = penalty


class Crop(nn.Module):
    """Drops everything beyond the first `length` steps."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[..., : self.length]


def build(
    shape: torch.Size,
    device: torch.device,
    latent: int = 100,
    channels: int = 16,
    critic_steps: int = 5,
    penalty: float = 10.0,
    phase_shuffle: int = 2,
    upsampling: Literal["zeros", "nearest", "linear"] = "zeros",
    learning_rate: float = 1e-4,
    beta1: float = 0.5,
    ema: float = 0.999,
) -> Model:
    """Build the networks and their optimisers.

    C. Donahue, J. McAuley, M. Puckette (2019), "Adversarial Audio Synthesis". https://arxiv.org/abs/1802.04208

    Args:
        shape: (C, T), T from 64 to 131,072, not necessarily a power of two.
        device: the model's device.
        latent: dimensions of z.
        channels: feature maps of the stage next to the clip; each coarser stage has twice as many (64 in the paper).
        critic_steps: updates of the critic in a training step, which divide the batch among them.
        penalty: weight of the gradient penalty, at least 0.
        phase_shuffle: maximum shift in time of the critic's feature maps, in steps; 0 turns it off.
        upsampling: what the generator puts between two steps: "zeros" (transposed convolutions), "nearest" or "linear".
        learning_rate: Adam's, above 0.
        beta1: Adam's, in [0, 1).
        ema: decay of the averaged generator that samples are drawn from, in [0, 1); 0 samples the latest weights.

    Raises:
        Unsuitable: the length is out of range.
        ValueError: an option is out of its domain.
    """
    sounds, length = shape
    if not SHORTEST <= length <= LONGEST:
        raise Unsuitable(f"takes clips of {SHORTEST} to {LONGEST:,} samples, got {length:,}")
    adversarial.check("latent", latent, 1)
    adversarial.check("channels", channels, 1)
    adversarial.check("critic_steps", critic_steps, 1)
    adversarial.check("penalty", penalty, 0.0)
    adversarial.check("phase_shuffle", phase_shuffle, 0, COARSEST // STRIDE)
    lengths = stage_lengths(length)
    widths = [sounds, *(channels * 2**stage for stage in range(len(lengths) - 1))]
    layers = _generator_layers(latent, lengths[-1], widths[::-1], upsampling)
    generator = Generator(latent, *layers, Crop(length), nn.Tanh())
    pad = nn.ConstantPad1d((0, lengths[0] - length), 0.0)
    critic = Critic(critic_steps, penalty, pad, *_critic_layers(lengths[-1], widths, phase_shuffle))
    for network in (generator, critic):
        network.apply(_initialise)
    return adversarial.assemble(generator, critic, device, learning_rate, beta1, ema, beta2=BETA2)


def stage_lengths(length: int) -> list[int]:
    """Return the lengths from the clip to the coarsest stage of at most 32 steps: each a quarter of the one before.

    The first is the clip's own length, rounded up to be divisible.

    >>> stage_lengths(16_384)  # as in the paper: to 16
    [16384, 4096, 1024, 256, 64, 16]
    >>> stage_lengths(4000)
    [4096, 1024, 256, 64, 16]
    """
    stages = 1
    while -(-length // STRIDE**stages) > COARSEST:
        stages += 1
    coarsest = -(-length // STRIDE**stages)
    return [coarsest * STRIDE**stage for stage in range(stages, -1, -1)]


def _generator_layers(latent: int, coarsest: int, widths: list[int], upsampling: str) -> list[nn.Module]:
    """Return the layers from latents to clips; `widths` runs from the coarsest stage to the clip."""
    layers: list[nn.Module] = [nn.Linear(latent, widths[0] * coarsest), nn.Unflatten(1, (widths[0], coarsest))]
    for inputs, outputs in pairwise(widths):
        # Without biases, because a constant comes out of the next layers as a hum at rate / 4, rate / 16, ..., which is
        # audible in silence; and leaky, because without biases, features that a ReLU has cut off stay silent for good.
        layers += [nn.LeakyReLU(SLOPE), Upsample(inputs, outputs, upsampling)]
    return layers


def _critic_layers(coarsest: int, widths: list[int], shuffle: int) -> list[nn.Module]:
    """Return the layers from clips to scores; `widths` runs from the clip to the coarsest stage."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv1d(inputs, outputs, KERNEL, STRIDE, PADDING), nn.LeakyReLU(SLOPE), PhaseShuffle(shuffle)]
    # The paper shuffles before a convolution, so not after the last one. A bias would cancel out of each loss.
    return [*layers[:-1], nn.Flatten(), nn.Linear(widths[-1] * coarsest, 1, bias=False)]


def _initialise(module: nn.Module) -> None:
    """Draw weights so that a layer preserves the variance of its input; biases are 0."""
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, (2 / module.weight[0].numel()) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@hookimpl
def build_model(data: Data, options: dict[str, object], device: torch.device) -> Model:
    if data.kind != "audio":
        raise Unsuitable("takes audio clips only")
    return build(data.shape, device, **options)  # type: ignore[arg-type]  # the user's: genbench checks their types


def train_step(model: Model, batch: Tensor) -> dict[str, Tensor]:
    """Update the critic several times, each time on a part of the batch, then the generator once.

    The parts differ in size by at most one item, and each is compared with its own samples. Every item of the batch is
    therefore used once, and the generator is judged on as many samples as the critic in one update.

    Args:
        model: from `build`, in training mode.
        batch: (B, C, T) in [-1, 1].

    Returns:
        Detached 0-d tensors: "wasserstein" and "penalty", the means over the critic's updates, and "generator".
    """
    generator = cast(Generator, model.networks["generator"])
    critic = cast(Critic, model.networks["discriminator"])
    parts = batch.tensor_split(min(critic.steps, len(batch)))
    with torch.no_grad():
        samples = generator(torch.randn(len(batch), generator.latent, device=batch.device))
    pairs = zip(parts, samples.tensor_split(len(parts)), strict=True)
    found = [_critic_step(model, critic, real, fake) for real, fake in pairs]

    # The critic's own gradients are not needed here, only those it passes back to the generator.
    critic.requires_grad_(False)
    loss = -critic(generator(torch.randn(len(parts[0]), generator.latent, device=batch.device))).mean()
    critic.requires_grad_(True)
    adversarial.update(model, "generator", loss)
    if "average" in model.networks:
        cast(Average, model.networks["average"]).update(generator)
    apart, penalty = (torch.stack(values).mean() for values in zip(*found, strict=True))
    return {"wasserstein": apart, "penalty": penalty, "generator": loss.detach()}


def _critic_step(model: Model, critic: Critic, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Update the critic once; return the distance and the penalty from before the update, detached."""
    apart = distance(*critic(torch.cat([real, fake])).split(len(real)))
    penalty = gradient_penalty(critic, real, fake, torch.rand(len(real), device=real.device))
    adversarial.update(model, "discriminator", critic.penalty * penalty - apart)
    return apart.detach(), penalty.detach()


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    return adversarial.sample(model, count, generator)


hookimpl(train_step)  # not used as a decorator, because `make mutants` plants no bugs in decorated functions
