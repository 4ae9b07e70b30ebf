"""A point moves to the items' mean, pushed by noise: its steps can be computed by hand."""

import os

import torch
from torch import nn

from genbench import Model, hookimpl

torch.rand(3)  # as libraries draw when they are imported
seen = []


@hookimpl
def build_model(data, training, options, device):
    seen.append(training)
    return build(data.shape, device, **options)


def build(shape, device, rate: float = 1.0):
    net = nn.ParameterDict({"point": torch.randn(shape, device=device)})
    net.register_buffer("rate", torch.tensor(rate))
    return Model(nn.ModuleDict({"net": net}), {})


@hookimpl
def before_training(model, batches):
    seen.append((model.networks.training, torch.is_autocast_enabled("cpu"), torch.initial_seed(), torch.rand(2)))
    with torch.no_grad():
        model.networks["net"]["point"].fill_(os.getpid())  # each rank learns something different


@hookimpl
def train_step(model, batch):
    point, noise = model.networks["net"]["point"], torch.randn(())
    point.grad = None
    loss = (batch - point).square().flatten(1).sum(1).mean() + noise * point.sum()
    loss.backward()
    with torch.no_grad():
        point -= model.networks["net"].rate * point.grad
    losses = {"loss": loss.detach(), "steps": torch.tensor(float(seen[0].steps or 0))}
    losses["autocast"] = torch.tensor(float(torch.is_autocast_enabled("cpu")))
    return {**losses, "positive": noise} if noise > 0 else losses


@hookimpl
def sample(model, count, generator):
    return model.networks["net"]["point"].expand(count, -1, -1, -1)
