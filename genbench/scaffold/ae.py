"""A small autoencoder that samples from a Gaussian fitted to its codes.

P. Ghosh et al. (2020), "From Variational to Deterministic Autoencoders", section 4.
https://arxiv.org/abs/1903.12436
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import Data, Model, Unsuitable, hookimpl

CODE = 16
RIDGE = 1e-4  # on the covariance's diagonal, so that it always has a Cholesky factor


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
    """Build the encoder, the decoder (`width` units per hidden layer) and the density."""
    encoder = nn.Sequential(
        nn.Flatten(),
        nn.Linear(shape.numel(), width),
        nn.ReLU(),
        nn.Linear(width, CODE),
    )
    decoder = nn.Sequential(
        nn.Linear(CODE, width),
        nn.ReLU(),
        nn.Linear(width, shape.numel()),
        nn.Tanh(),
        nn.Unflatten(1, shape),
    )
    trained = nn.ModuleDict({"encoder": encoder, "decoder": decoder}).to(device)
    # Maps standard normal noise to codes. It is fitted and not trained, but it is a
    # network, so it is saved with the others.
    density = nn.Linear(CODE, CODE).requires_grad_(False).to(device)
    optimizer = torch.optim.Adam(trained.parameters(), rate)
    networks = nn.ModuleDict({**trained, "density": density})
    return Model(networks, {"autoencoder": optimizer})


@hookimpl
def train_step(model: Model, batch: Tensor) -> dict[str, Tensor]:
    loss = F.mse_loss(reconstruct(model, batch), batch)
    model.optimizers["autoencoder"].zero_grad()
    loss.backward()
    model.optimizers["autoencoder"].step()
    return {"reconstruction": loss.detach()}


@hookimpl
def before_sampling(
    model: Model,
    batches: Iterable[tuple[Tensor, Tensor | None]],
) -> None:
    codes = torch.cat([encode(model, images) for images, _ in batches])
    ridge = RIDGE * torch.eye(CODE, device=codes.device)
    factor = torch.linalg.cholesky(codes.T.cov() + ridge)
    model.networks["density"].load_state_dict({"weight": factor, "bias": codes.mean(0)})


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    noise = torch.randn(count, CODE, generator=generator, device=generator.device)
    images: Tensor = model.networks["decoder"](model.networks["density"](noise))
    return images


@hookimpl
def encode(model: Model, batch: Tensor) -> Tensor:
    codes: Tensor = model.networks["encoder"](batch)
    return codes


@hookimpl
def reconstruct(model: Model, batch: Tensor) -> Tensor:
    restored: Tensor = model.networks["decoder"](encode(model, batch))
    return restored
