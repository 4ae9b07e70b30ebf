"""The hooks that both autoencoders share; each model's module imports them in addition to its own `build_model`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench import Model, hookimpl
from genbench_ae.density import CodeDensity

__all__ = ["before_sampling", "encode", "reconstruct", "sample", "train_step"]


def train_step(model: Model, batch: Tensor) -> dict[str, Tensor]:
    """Step Adam once on the mean squared error between the items and their restorations, corrupted or not."""
    networks, optimizer = model.networks, model.optimizers["autoencoder"]
    restored = networks["decoder"](networks["encoder"](networks["corruption"](batch)))
    loss = F.mse_loss(restored, batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"reconstruction": loss.detach()}


@hookimpl
def before_sampling(model: Model, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
    """Fit the density to the codes of the training images."""
    _density(model).fit(torch.cat([encode(model, images) for images, _ in batches]))


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    """Decode codes drawn from the density: (count, *shape) in [-1, 1]."""
    images: Tensor = model.networks["decoder"](_density(model).sample(count, generator))
    return images


@hookimpl
def reconstruct(model: Model, batch: Tensor) -> Tensor:
    """Decode the codes of the items (B, *shape), same shape, in [-1, 1]; without corruption."""
    restored: Tensor = model.networks["decoder"](encode(model, batch))
    return restored


@hookimpl
def encode(model: Model, batch: Tensor) -> Tensor:
    """Return the codes of the items: (B, bottleneck)."""
    codes: Tensor = model.networks["encoder"](batch)
    return codes


def _density(model: Model) -> CodeDensity:
    return cast(CodeDensity, model.networks["density"])


hookimpl(train_step)  # not used as a decorator, because `make mutants` plants no bugs in decorated functions
