"""Replays the data it has seen; after step `after`, it collapses to one point or drops everything on the left."""

import torch
from torch import nn

from genbench import Model, hookimpl

SEEN = 512


class Memory(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(shape))
        self.register_buffer("seen", torch.zeros(SEEN, *shape))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))


@hookimpl
def build_model(data, options, device):
    return build(data.shape, device, **options)


def build(shape, device, fault: str = "none", after: int = 12):
    memory = Memory(shape).to(device)
    model = Model(nn.ModuleDict({"memory": memory}), {"memory": torch.optim.SGD(memory.parameters(), 0.1)})
    memory.fault, memory.after = fault, after
    return model


@hookimpl
def train_step(model, batch):
    memory = model.networks["memory"]
    memory.seen = torch.cat([memory.seen[len(batch) :], batch])
    memory.steps += 1
    loss = (batch.mean(0) - memory.mean).square().mean()
    model.optimizers["memory"].zero_grad()
    loss.backward()
    model.optimizers["memory"].step()
    return {"distance": loss.detach()}


@hookimpl
def sample(model, count, generator):
    memory = model.networks["memory"]
    known, late = memory.seen, int(memory.steps) > memory.after
    if late and memory.fault == "drops":
        known = known[known.flatten(1)[:, 0] > 0.1]
    chosen = known[torch.randint(len(known), (count,), generator=generator, device=generator.device)]
    return torch.zeros_like(chosen) if late and memory.fault == "collapses" else chosen
