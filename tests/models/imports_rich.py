"""The tiny model, with an import of rich."""

import rich.console  # noqa: F401  # for the side effects of importing it
import torch
from torch import nn

from genbench import Model, hookimpl

LATENT = 16


@hookimpl
def build_model(data, options, device):
    return build(data.shape, device, **options)


def build(shape, device, width: int = 256, rate: float = 1e-3):
    net = nn.Sequential(
        *(nn.Linear(LATENT, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()),
        *(nn.Linear(width, shape.numel()), nn.Tanh(), nn.Unflatten(1, shape)),
    ).to(device)
    return Model(nn.ModuleDict({"generator": net}), {"generator": torch.optim.Adam(net.parameters(), rate)})


@hookimpl
def train_step(model, batch):
    noise = torch.randn(len(batch), LATENT, device=batch.device)
    real, fake = batch.flatten(1), model.networks["generator"](noise).flatten(1)
    loss = 2 * torch.cdist(fake, real).mean() - torch.cdist(fake, fake).mean()
    model.optimizers["generator"].zero_grad()
    loss.backward()
    model.optimizers["generator"].step()
    return {"energy": loss.detach()}


@hookimpl
def sample(model, count, generator):
    noise = torch.randn(count, LATENT, generator=generator, device=generator.device)
    return model.networks["generator"](noise)
