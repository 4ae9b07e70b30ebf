"""A fully connected variational autoencoder; samples are decoded from its prior.

D. P. Kingma, M. Welling (2014), "Auto-Encoding Variational Bayes", https://arxiv.org/abs/1312.6114
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal

import torch
from torch import nn

from genbench import Data, Model, hookimpl
from genbench_vae.assembly import Settings, assemble, check_positive, refuse_texts
from genbench_vae.hooks import encode, log_likelihood, reconstruct, sample, train_step

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
    latent: int = 16,
    hidden: int = 256,
    layers: int = 2,
    beta: float = 1.0,
    likelihood: Literal["logistic", "gaussian", "bernoulli"] = "logistic",
    importance_samples: int = 1,
    learning_rate: float = 1e-3,
) -> Model:
    """Return a VAE of items of any shape and `levels` values, with `layers` hidden layers of `hidden` units per side.

    Raises:
        ValueError: a value is out of its domain; a one-line message.
    """
    settings = Settings(latent, beta, likelihood, importance_samples, learning_rate)
    check_positive(hidden=hidden, layers=layers)
    values = math.prod(shape)
    trunk = nn.Sequential(nn.Flatten(), *_hidden([values, *[hidden] * layers]))
    decoder = nn.Sequential(*_hidden([latent, *[hidden] * layers]), nn.Linear(hidden, values), nn.Unflatten(1, shape))
    return assemble(trunk, hidden, decoder, settings, device, levels)


def _hidden(widths: list[int]) -> list[nn.Module]:
    """Return a linear layer, LayerNorm and SiLU from each width to the next."""
    stack: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        stack += [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.SiLU()]
    return stack
