"""A class-conditional energy-distance generator."""

import torch
from torch import nn

from genbench import Model, hookimpl


@hookimpl
def build_model(data, options, device):
    return build(data.shape, data.classes, device, **options)


def build(shape, classes, device, width: int = 128):
    k = classes or 0
    net = nn.Sequential(
        nn.Linear(16 + k, width),
        nn.ReLU(),
        nn.Linear(width, shape.numel()),
        nn.Tanh(),
        nn.Unflatten(1, shape),
    ).to(device)
    net.k = k
    return Model(nn.ModuleDict({"net": net}), {"net": torch.optim.Adam(net.parameters(), 1e-3)})


def inputs(model, noise, labels):
    k = model.networks["net"].k
    if labels is None or not k:
        return noise
    return torch.cat([noise, nn.functional.one_hot(labels, k).float()], 1)


@hookimpl
def train_step(model, batch, labels):
    noise = torch.randn(len(batch), 16, device=batch.device)
    fake = model.networks["net"](inputs(model, noise, labels)).flatten(1)
    real = batch.flatten(1)
    loss = 2 * torch.cdist(fake, real).mean() - torch.cdist(fake, fake).mean()
    model.optimizers["net"].zero_grad()
    loss.backward()
    model.optimizers["net"].step()
    return {"energy": loss.detach()}


@hookimpl
def sample(model, count, labels, generator):
    noise = torch.randn(count, 16, generator=generator, device=generator.device)
    return model.networks["net"](inputs(model, noise, labels))
