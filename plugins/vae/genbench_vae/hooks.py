"""The hooks that both models share; each model's module imports them in addition to its own `build_model`."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from genbench import Model, hookimpl
from genbench_vae.assembly import Encoder
from genbench_vae.objective import Objective, log_weights

__all__ = ["encode", "log_likelihood", "reconstruct", "sample", "train_step"]


def train_step(model: Model, batch: Tensor) -> dict[str, Tensor]:
    """Step Adam once on the loss of `Objective`; "loss", "reconstruction" and "kl" are nats per item."""
    networks, optimizer = model.networks, model.optimizers["vae"]
    mean, log_variance = networks["encoder"](batch)
    codes = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
    losses: dict[str, Tensor] = networks["objective"](networks["decoder"](codes).float(), batch, mean, log_variance)
    losses["loss"].backward()
    optimizer.step()
    optimizer.zero_grad()
    return {name: loss.detach() for name, loss in losses.items()}


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    """Decode codes drawn from the prior N(0, I): (count, *shape) in [-1, 1], without the noise of p(x | z)."""
    return _decode(model, torch.randn(count, _encoder(model).latent, generator=generator, device=generator.device))


@hookimpl
def reconstruct(model: Model, batch: Tensor) -> Tensor:
    """Decode the posterior means of the items (B, *shape): same shape, in [-1, 1]."""
    return _decode(model, encode(model, batch))


@hookimpl
def encode(model: Model, batch: Tensor) -> Tensor:
    """Return the posterior means of the items: (B, latent)."""
    mean: Tensor = _encoder(model)(batch)[0]
    return mean


def log_likelihood(model: Model, batch: Tensor, generator: torch.Generator) -> Tensor:
    """Return a lower bound on the log-likelihood of each item's stored values, (B,) nats: see `log_weights`."""
    objective = _objective(model)
    levels = ((batch + 1) * (objective.likelihood.greatest / 2)).round()
    mean, log_variance = _encoder(model)(batch)
    draws = []
    for _ in range(objective.importance_samples):  # one at a time, so that more draws take no more memory
        noise = torch.randn(mean.shape, generator=generator, device=generator.device)
        draws.append(log_weights(objective.likelihood, model.networks["decoder"], levels, mean, log_variance, noise))
    return torch.stack(draws).logsumexp(0) - math.log(len(draws))


def _decode(model: Model, codes: Tensor) -> Tensor:
    return _objective(model).likelihood.image(model.networks["decoder"](codes).float())


def _encoder(model: Model) -> Encoder:
    return cast(Encoder, model.networks["encoder"])


def _objective(model: Model) -> Objective:
    return cast(Objective, model.networks["objective"])


# Not used as decorators, because `make mutants` plants no bugs in decorated functions.
hookimpl(train_step)
hookimpl(log_likelihood)
