"""RealNVP (Dinh et al. 2017) on dequantised logits: affine couplings, whose likelihood is exact."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genbench import Model, hookimpl

ALPHA = 0.05
WIDTH = 32


class Coupling(nn.Module):
    """x -> x * exp(s) + t where the mask is 0, with s and t computed from the entries where it is 1."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.net = nn.Sequential(nn.Linear(len(mask), WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2 * len(mask)))

    def scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.net(kept * self.mask).chunk(2, 1)
        return scale.tanh() * (1 - self.mask), shift * (1 - self.mask)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.scale_and_shift(x)
        return x * scale.exp() + shift, scale.sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        scale, shift = self.scale_and_shift(y)
        return (y - shift) * (-scale).exp()


@hookimpl
def build_model(data, options, device):
    return build(data.shape, device, **options)


def build(shape, device, layers: int = 4, rate: float = 1e-3):
    size = shape.numel()
    if size < 2:
        raise ValueError("a coupling layer needs at least two values an image")
    mask = torch.arange(size) % 2
    flow = nn.ModuleList(Coupling((mask + layer) % 2) for layer in range(layers))
    networks = nn.ModuleDict({"flow": flow, "shape": nn.Unflatten(1, shape)}).to(device)
    return Model(networks, {"adam": torch.optim.Adam(flow.parameters(), rate)})


def log_density(flow, images, noise):
    """Log-density of the levels 0..255 with uniform noise added, in nats of level units."""
    levels = ((images.flatten(1) + 1) * 127.5).round()
    x = torch.logit(ALPHA + (1 - 2 * ALPHA) * (levels + noise) / 256)
    jacobian = (math.log((1 - 2 * ALPHA) / 256) - F.logsigmoid(x) - F.logsigmoid(-x)).sum(1)
    for coupling in flow:
        x, change = coupling(x)
        jacobian = jacobian + change
    return (-0.5 * x.square() - 0.5 * math.log(2 * math.pi)).sum(1) + jacobian


@hookimpl
def train_step(model, batch):
    flow = model.networks["flow"]
    loss = -log_density(flow, batch, torch.rand_like(batch.flatten(1))).mean()
    model.optimizers["adam"].zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(flow.parameters(), 50.0)
    model.optimizers["adam"].step()
    return {"nll": loss.detach()}


@hookimpl
def sample(model, count, generator):
    flow, shape = model.networks["flow"], model.networks["shape"]
    x = torch.randn(count, len(flow[0].mask), generator=generator, device=generator.device)
    for coupling in reversed(flow):
        x = coupling.inverse(x)
    unit = (torch.sigmoid(x) - ALPHA) / (1 - 2 * ALPHA)
    return shape((unit * 256).floor().clamp(0, 255) / 127.5 - 1)


@hookimpl
def log_likelihood(model, batch, generator):
    noise = torch.rand(batch.flatten(1).shape, generator=generator, device=generator.device)
    return log_density(model.networks["flow"], batch, noise)
