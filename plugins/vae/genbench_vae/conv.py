"""A convolutional variational autoencoder of images or clips; samples are decoded from its prior.

D. P. Kingma, M. Welling (2014), "Auto-Encoding Variational Bayes", https://arxiv.org/abs/1312.6114
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import nn

from genbench import Data, Model, hookimpl
from genbench_vae.assembly import Settings, assemble, check_positive, refuse_texts
from genbench_vae.hooks import encode, log_likelihood, reconstruct, sample, train_step
from genbench_vae.stages import Stages

__all__ = ["build", "build_model", "encode", "log_likelihood", "reconstruct", "sample", "train_step"]


@hookimpl
def build_model(data: Data, options: dict[str, Any], device: torch.device) -> Model:
    """Build the autoencoder; `options` are the keyword arguments of `build`."""
    refuse_texts(data)
    return build(data.shape, device, data.levels, **options)


def build(
    shape: torch.Size,
    device: torch.device,
    levels: int,
    *,
    latent: int = 32,
    channels: int = 32,
    beta: float = 1.0,
    likelihood: Literal["logistic", "gaussian", "bernoulli"] = "logistic",
    importance_samples: int = 1,
    learning_rate: float = 1e-3,
) -> Model:
    """Return a VAE of images (C, H, W) or clips (C, T) of `levels` values, whose first stage has `channels` channels.

    Raises:
        Unsuitable: the sides of an image are not in 8 to 128, or a clip has fewer than 64 or more than 131,072 samples.
        ValueError: a value is out of its domain; a one-line message.
    """
    settings = Settings(latent, beta, likelihood, importance_samples, learning_rate)
    check_positive(channels=channels)
    stages = Stages.of(len(shape) - 1)
    sizes = stages.sizes(tuple(shape[1:]))
    widths = [shape[0], *(channels * 2 ** min(stage, 2) for stage in range(len(sizes) - 1))]
    features = widths[-1] * math.prod(sizes[-1])
    first = nn.Unflatten(1, (widths[-1], *sizes[-1]))
    decoder = nn.Sequential(nn.Linear(latent, features), first, *stages.up(widths, sizes))
    return assemble(nn.Sequential(*stages.down(widths), nn.Flatten()), features, decoder, settings, device, levels)
