"""Accumulates gradients over several steps, as training scripts do: they stay in .grad between steps."""

import torch
from torch import nn

from genbench import Model, hookimpl


@hookimpl
def build_model(data, options, device):
    return build(data.shape, device, **options)


def build(shape, device, width: int = 256, rate: float = 1e-3, every: int = 4):
    net = nn.Sequential(
        *(nn.Linear(16, width), nn.ReLU(), nn.Linear(width, shape.numel()), nn.Tanh()),
        nn.Unflatten(1, shape),
    ).to(device)
    settings = nn.Module()
    settings.every = every
    return Model(nn.ModuleDict({"net": net, "settings": settings}), {"adam": torch.optim.Adam(net.parameters(), rate)})


@hookimpl
def train_step(model, batch, step):
    net, every = model.networks["net"], model.networks["settings"].every
    noise = torch.randn(len(batch), 16, device=batch.device)
    fake, real = net(noise).flatten(1), batch.flatten(1)
    loss = 2 * torch.cdist(fake, real).mean() - torch.cdist(fake, fake).mean()
    (loss / every).backward()
    if step % every == every - 1:
        model.optimizers["adam"].step()
        model.optimizers["adam"].zero_grad()
    return {"energy": loss.detach()}


@hookimpl
def sample(model, count, generator):
    noise = torch.randn(count, 16, generator=generator, device=generator.device)
    return model.networks["net"](noise)
