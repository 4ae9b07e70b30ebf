"""A GAN of texts: an LSTM trained by likelihood, then by policy gradient on a discriminator's scores of roll-outs.

L. Yu, W. Zhang, J. Wang, Y. Yu (2017), "SeqGAN: Sequence Generative Adversarial Nets with Policy Gradient",
https://arxiv.org/abs/1609.05473
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from genbench import Data, Model, Training, hookimpl
from genbench_sequence.discriminator import Discriminator
from genbench_sequence.drawing import generate
from genbench_sequence.options import check_counts, check_not_negative, check_positive, check_share
from genbench_sequence.policy import baseline, policy_loss, rewards_of, roll_out
from genbench_sequence.recurrent import Recurrent
from genbench_sequence.texts import log_probabilities, require_texts, without_rest

__all__ = ["build", "build_model", "log_likelihood", "sample", "train_step"]

CLIP = 5.0  # maximum norm of the generator's gradients
EVERY = 4  # steps of pre-training per step of the discriminator


class Phases(nn.Module):
    """When the game begins, and how often it completes a beginning; it has no weights."""

    def __init__(self, pretraining_steps: int, rollouts: int) -> None:
        super().__init__()
        self.pretraining_steps = pretraining_steps
        self.rollouts = rollouts


@hookimpl
def build_model(data: Data, training: Training, options: dict[str, Any], device: torch.device) -> Model:
    """Build generator and discriminator; `options` are the keyword arguments of `build`."""
    return build(data, training, device, **options)


def build(
    data: Data,
    training: Training,
    device: torch.device,
    *,
    embedding: int = 32,
    hidden: int = 64,
    filters: int = 16,
    pretraining: float = 0.9,
    pretraining_steps: int = 1000,
    rollouts: int = 2,
    temperature: float = 1.0,
    learning_rate: float = 5e-3,
    policy_learning_rate: float = 2e-4,
    discriminator_learning_rate: float = 2e-3,
) -> Model:
    """Return a SeqGAN of texts (L,) over `data.levels` symbols.

    Args:
        data: describes the texts.
        training: the number of steps for both phases.
        device: the model's device.
        embedding: size of a symbol's embedding, in the generator and in the discriminator.
        hidden: cells of the generator's LSTM.
        filters: of the discriminator, per window width.
        pretraining: the share of the steps that trains the generator by likelihood, in [0, 1].
        pretraining_steps: the number of these steps if the total number of steps is unknown.
        rollouts: completions of each beginning of a text, for the reward of its last symbol.
        temperature: divides the logits in `sample`.
        learning_rate: Adam's, for the generator in pre-training.
        policy_learning_rate: Adam's, for the generator in the game.
        discriminator_learning_rate: Adam's, for the discriminator.

    Raises:
        Unsuitable: the data are not texts.
        ValueError: a value is out of its domain; a one-line message.
    """
    require_texts(data)
    check_counts(embedding=embedding, hidden=hidden, filters=filters, rollouts=rollouts)
    check_positive(temperature=temperature, learning_rate=learning_rate)
    check_positive(policy_learning_rate=policy_learning_rate, discriminator_learning_rate=discriminator_learning_rate)
    check_share(pretraining=pretraining)
    check_not_negative(pretraining_steps=pretraining_steps)
    steps = pretraining_steps if training.steps is None else round(pretraining * training.steps)
    generator = Recurrent(data.levels, data.shape[0], embedding, hidden, layers=1)
    generator.temperature = temperature
    discriminator = Discriminator(data.levels, data.shape[0], embedding, filters)
    networks = nn.ModuleDict({"generator": generator, "discriminator": discriminator}).to(device)
    networks["phases"] = Phases(steps, rollouts)
    fused = device.type in ("cpu", "cuda")  # one kernel updates all weights, on devices that have one
    rates = {
        "generator": (generator, learning_rate),
        "policy": (generator, policy_learning_rate),
        "discriminator": (discriminator, discriminator_learning_rate),
    }
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.Adam(network.parameters(), rate, fused=fused) for name, (network, rate) in rates.items()
    }
    return Model(networks, optimizers)


def train_step(model: Model, batch: Tensor, step: int) -> dict[str, Tensor]:
    """Take a step of pre-training, or, once that is done, of the game.

    Returns:
        "nll" in nats per text in pre-training, "policy" and the mean "reward" in the game; "discriminator" at every
        fourth step of pre-training and at each step of the game.
    """
    return _pretrain(model, batch, step) if step < _phases(model).pretraining_steps else _play(model, batch)


def _pretrain(model: Model, batch: Tensor, step: int) -> dict[str, Tensor]:
    """Update the generator on its likelihood, and sometimes the discriminator, so that it is useful from the start."""
    generator = _generator(model)
    loss = -log_probabilities(generator(batch), batch).mean()
    _update(model, "generator", generator, loss)
    if step % EVERY:
        return {"nll": loss.detach()}
    with torch.no_grad():
        noise = torch.rand(batch.shape, device=batch.device)
        texts = generate(generator, generator.begin(len(batch), batch.device), noise, early=False)
    return {"nll": loss.detach(), "discriminator": _tell_apart(model, batch, texts)}


def _play(model: Model, batch: Tensor) -> dict[str, Tensor]:
    """Update the generator on the discriminator's scores of its texts, then the discriminator on these texts."""
    generator, rollouts = _generator(model), _phases(model).rollouts
    count, length = batch.shape
    with torch.no_grad():
        noise = torch.rand(count * (1 + rollouts * (length - 1)), length, device=batch.device)
        texts, completions = roll_out(generator, noise, count, rollouts)
        scores, advantages = _judge(_discriminator(model), texts, completions)
    loss = policy_loss(generator(texts), texts, advantages)
    _update(model, "policy", generator, loss)
    told = _tell_apart(model, batch, texts)
    return {"policy": loss.detach(), "reward": scores.mean(), "discriminator": told}


def _judge(discriminator: Discriminator, texts: Tensor, completions: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores in [0, 1] of the texts (B, L), (B,), and the advantage of each symbol, (B, L)."""
    scores = torch.sigmoid(discriminator(texts))
    completed = torch.sigmoid(discriminator(completions.flatten(0, 2))).view(completions.shape[:3])
    return scores, rewards_of(scores, completed) - baseline(scores)[:, None]


def _tell_apart(model: Model, batch: Tensor, texts: Tensor) -> Tensor:
    """Step the discriminator once on the cross-entropy of distinguishing the data from the draws, and return it."""
    discriminator = _discriminator(model)
    real, drawn = discriminator(torch.cat([without_rest(batch), texts])).chunk(2)
    loss = F.softplus(-real).mean() + F.softplus(drawn).mean()
    loss.backward()
    model.optimizers["discriminator"].step()
    model.optimizers["discriminator"].zero_grad()
    return loss.detach()


def _update(model: Model, name: str, network: nn.Module, loss: Tensor) -> None:
    loss.backward()
    clip_grad_norm_(network.parameters(), CLIP)
    model.optimizers[name].step()
    model.optimizers[name].zero_grad()


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    """Draw texts from the generator symbol by symbol, at the model's temperature: int64 (count, L)."""
    network = _generator(model)
    noise = torch.rand(count, network.length, generator=generator, device=generator.device)
    return generate(network, network.begin(count, generator.device), noise, network.temperature)


def log_likelihood(model: Model, batch: Tensor) -> Tensor:
    """Return log p(x) of the texts (B, L) under the generator in nats, including the end symbol, (B,): exact."""
    return log_probabilities(_generator(model)(batch), batch)


def _generator(model: Model) -> Recurrent:
    return cast(Recurrent, model.networks["generator"])


def _discriminator(model: Model) -> Discriminator:
    return cast(Discriminator, model.networks["discriminator"])


def _phases(model: Model) -> Phases:
    return cast(Phases, model.networks["phases"])


# Not used as decorators, because `make mutants` plants no bugs in decorated functions.
hookimpl(train_step)
hookimpl(log_likelihood)
