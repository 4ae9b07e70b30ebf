"""A model whose step does a given number of equal parts of work: gate_trial.py plants slow-downs in it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genbench import Data, Model, hookimpl

LATENT = 16


@hookimpl
def build_model(data: Data, options: dict[str, int], device: torch.device) -> Model:
    return build(data.shape, device, **options)


def build(shape: torch.Size, device: torch.device, parts: int = 20, extra_calls: int = 0) -> Model:
    """Build the network; a step updates it `parts` times and makes `extra_calls` superfluous operator calls."""
    net = nn.Sequential(nn.Linear(LATENT, shape.numel()), nn.Tanh(), nn.Unflatten(1, shape)).to(device)
    net.register_buffer("parts", torch.zeros(parts))
    net.register_buffer("extra_calls", torch.zeros(extra_calls))
    return Model(nn.ModuleDict({"generator": net}), {"generator": torch.optim.SGD(net.parameters(), 1e-3)})


@hookimpl
def train_step(model: Model, batch: Tensor) -> dict[str, Tensor]:
    net = model.networks["generator"]
    weight = net[0].weight
    with torch.no_grad():  # by hand: each part takes about 50 µs, so that a window is shorter than a time slice
        target = batch.mean(0).flatten().mean()
        for _ in range(len(net.parts)):
            error = torch.randn(len(batch), LATENT) @ weight.T - target
            weight.sub_(error.T @ error @ weight, alpha=1e-9)
    for _ in range(len(net.extra_calls)):
        batch.abs()
    return {"error": error.mean()}


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    images: Tensor = model.networks["generator"](torch.randn(count, LATENT, generator=generator))
    return images
