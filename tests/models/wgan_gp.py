"""WGAN-GP (Gulrajani et al. 2017): a critic with a gradient penalty, and five critic steps per generator step."""

import torch
from torch import nn

from genbench import Model, hookimpl


@hookimpl
def build_model(data, options, device):
    return build(data.shape, device, **options)


def build(
    shape,
    device,
    width: int = 256,
    latent: int = 64,
    n_critic: int = 5,
    penalty: float = 10.0,
    rate: float = 1e-4,
):
    size = shape.numel()
    generator = nn.Sequential(
        *(nn.Linear(latent, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()),
        *(nn.Linear(width, size), nn.Tanh(), nn.Unflatten(1, shape)),
    )
    critic = nn.Sequential(
        nn.Flatten(),
        nn.Linear(size, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, 1, bias=False),
    )
    settings = nn.Module()
    settings.latent, settings.n_critic, settings.penalty = latent, n_critic, penalty
    settings.register_buffer("last", torch.zeros(()))
    networks = nn.ModuleDict({"generator": generator, "critic": critic, "settings": settings}).to(device)
    adam = {
        name: torch.optim.Adam(networks[name].parameters(), rate, betas=(0.0, 0.9)) for name in ("generator", "critic")
    }
    return Model(networks, adam)


@hookimpl
def train_step(model, batch, step):
    networks, settings = model.networks, model.networks["settings"]
    critic = networks["critic"]
    noise = torch.randn(len(batch), settings.latent, device=batch.device)
    with torch.no_grad():
        fake = networks["generator"](noise)
    mix = torch.rand(len(batch), 1, 1, 1, device=batch.device)

    between = (mix * batch + (1 - mix) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    gradient_penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    distance = critic(batch).mean() - critic(fake).mean()
    model.optimizers["critic"].zero_grad()
    (settings.penalty * gradient_penalty - distance).backward()
    model.optimizers["critic"].step()
    losses = {"wasserstein": distance.detach(), "penalty": gradient_penalty.detach()}
    if step % settings.n_critic == settings.n_critic - 1:
        noise = torch.randn(len(batch), settings.latent, device=batch.device)
        loss = -critic(networks["generator"](noise)).mean()
        model.optimizers["generator"].zero_grad()
        loss.backward()
        model.optimizers["generator"].step()
        losses["generator"] = loss.detach()
    return losses


@hookimpl
def sample(model, count, generator):
    noise = torch.randn(count, model.networks["settings"].latent, generator=generator, device=generator.device)
    return model.networks["generator"](noise)
