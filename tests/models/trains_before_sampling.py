"""A linear autoencoder initialised at the principal components: it sees the data before its first step."""

import torch
from torch import nn

from genbench import Model, hookimpl


@hookimpl
def build_model(data, options, device):
    return build(data.shape, device, **options)


def build(shape, device, axes: int = 16, rate: float = 1e-4):
    size = shape.numel()
    net = nn.ModuleDict(
        {
            "down": nn.Linear(size, min(axes, size)),
            "up": nn.Sequential(nn.Linear(min(axes, size), size), nn.Unflatten(1, shape)),
        }
    )
    prior = nn.Module()
    prior.register_buffer("begun", torch.zeros((), dtype=torch.bool))
    prior.register_buffer("mean", torch.zeros(min(axes, size)))
    prior.register_buffer("factor", torch.eye(min(axes, size)))
    networks = nn.ModuleDict({"net": net, "prior": prior}).to(device)
    return Model(networks, {"adam": torch.optim.Adam(net.parameters(), rate)})


@hookimpl
def train_step(model, batch):
    net = model.networks["net"]
    loss = (net["up"](net["down"](batch.flatten(1))) - batch).square().mean()
    model.optimizers["adam"].zero_grad()
    loss.backward()
    model.optimizers["adam"].step()
    return {"mse": loss.detach()}


@hookimpl
def before_sampling(model, batches):
    net, prior = model.networks["net"], model.networks["prior"]
    data = torch.cat([images.flatten(1) for images, _ in batches])
    if not prior.begun:  # the only hook that sees all the data; it is also called before the first step
        centre = data.mean(0)
        _, _, axes = torch.linalg.svd(data - centre, full_matrices=False)
        axes = axes[: net["down"].out_features]
        count = len(axes)
        net["down"].weight[:count] = axes
        net["down"].bias[:count] = -axes @ centre
        net["up"][0].weight[:, :count] = axes.T
        net["up"][0].bias.copy_(centre)
        prior.begun.fill_(True)
    codes = net["down"](data)
    prior.mean.copy_(codes.mean(0))
    prior.factor.copy_(torch.linalg.cholesky(codes.T.cov() + 1e-4 * torch.eye(codes.shape[1], device=codes.device)))


@hookimpl
def sample(model, count, generator):
    prior = model.networks["prior"]
    noise = torch.randn(count, len(prior.mean), generator=generator, device=generator.device)
    return model.networks["net"]["up"](prior.mean + noise @ prior.factor.T).clamp(-1, 1)


@hookimpl
def reconstruct(model, batch):
    net = model.networks["net"]
    return net["up"](net["down"](batch.flatten(1))).clamp(-1, 1)
