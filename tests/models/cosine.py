"""Learns a constant image; its learning rate follows a cosine over the whole budget, without an option for it."""

import torch
from torch import nn

from genbench import Model, hookimpl


class Constant(nn.Module):
    def __init__(self, shape, steps, batch_size, count):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(shape))
        self.register_buffer("told", torch.tensor([-1 if steps is None else steps, batch_size, count]))
        self.register_buffer("rate", torch.zeros(()))


@hookimpl
def build_model(data, training, options, device):
    net = Constant(data.shape, training.steps, training.batch_size, data.count).to(device)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    schedulers = {}
    if training.steps is not None:
        schedulers["rate"] = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.steps)
    return Model(nn.ModuleDict({"net": net}), {"net": optimizer}, schedulers)


@hookimpl
def train_step(model, batch):
    net, optimizer = model.networks["net"], model.optimizers["net"]
    loss = (batch - net.value).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    for scheduler in model.schedulers.values():
        scheduler.step()
    net.rate.fill_(optimizer.param_groups[0]["lr"])
    return {"loss": loss.detach(), "rate": net.rate.clone(), "told": net.told[0].float()}


@hookimpl
def sample(model, count, generator):
    value = model.networks["net"].value
    noise = torch.randn(count, *value.shape, generator=generator, device=generator.device)
    return (value + 0.1 * noise).clamp(-1, 1)
