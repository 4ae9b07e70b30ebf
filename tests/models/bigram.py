"""A bigram language model, exact and fast: each symbol depends only on the one before it."""

import torch
from torch import nn

from genbench import Model, Unsuitable, hookimpl


@hookimpl
def build_model(data, options, device):
    return build(data, device, **options)


def build(data, device, rate: float = 1e-2):
    if data.kind != "text":
        raise Unsuitable("takes only texts")
    table = nn.Embedding(data.levels, data.levels)
    table.register_buffer("length", torch.tensor(data.shape[0]))
    networks = nn.ModuleDict({"table": table}).to(device)
    return Model(networks, {"table": torch.optim.Adam(networks.parameters(), rate)})


def nats(model, batch):
    before = nn.functional.pad(batch, (1, 0))[:, :-1]
    chances = model.networks["table"](before).log_softmax(-1)
    ends = batch == 0
    written = ends.cumsum(1) - ends.long() == 0  # up to and including the first end
    return chances.gather(-1, batch[..., None])[..., 0].masked_fill(~written, 0.0).sum(1)


@hookimpl
def train_step(model, batch):
    loss = -nats(model, batch).mean()
    model.optimizers["table"].zero_grad()
    loss.backward()
    model.optimizers["table"].step()
    return {"nats": loss.detach()}


@hookimpl
def sample(model, count, generator):
    uniform = torch.rand(count, int(model.networks["table"].length), generator=generator, device=generator.device)
    token, tokens = torch.zeros(count, dtype=torch.int64, device=generator.device), []
    for column in uniform.unbind(1):
        cumulative = model.networks["table"](token).softmax(-1).cumsum(-1)
        token = (cumulative[:, :-1] <= column[:, None]).sum(1)
        tokens.append(token)
    return torch.stack(tokens, 1)


@hookimpl
def log_likelihood(model, batch):
    return nats(model, batch)


@hookimpl
def reconstruct(model, batch):
    return batch.clone()


@hookimpl
def encode(model, batch):
    return model.networks["table"](batch).mean(1)
