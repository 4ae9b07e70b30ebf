"""A variational autoencoder of texts, an LSTM on either side of the code; samples are decoded from its prior.

S. R. Bowman et al. (2016), "Generating Sentences from a Continuous Space", https://arxiv.org/abs/1511.06349;
I. Sutskever, O. Vinyals, Q. V. Le (2014), "Sequence to Sequence Learning with Neural Networks",
https://arxiv.org/abs/1409.3215
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from genbench import Data, Model, Training, hookimpl
from genbench_sequence.autoencoder import ConditionalDecoder, Encoder
from genbench_sequence.bound import Objective, kl_divergence, log_weights
from genbench_sequence.drawing import GREEDY, generate
from genbench_sequence.options import check_counts, check_not_negative, check_positive, check_share
from genbench_sequence.schedule import schedulers_of
from genbench_sequence.texts import log_probabilities, require_texts

__all__ = ["build", "build_model", "encode", "log_likelihood", "reconstruct", "sample", "train_step"]

CLIP = 5.0  # maximum norm of the gradient of the nats per text: Sutskever et al. (2014), section 3.4


@hookimpl
def build_model(data: Data, training: Training, options: dict[str, Any], device: torch.device) -> Model:
    """Build the autoencoder; `options` are the keyword arguments of `build`."""
    return build(data, training, device, **options)


def build(
    data: Data,
    training: Training,
    device: torch.device,
    *,
    latent: int = 16,
    embedding: int = 32,
    hidden: int = 128,
    warm_up: float = 0.5,
    warm_up_steps: int = 1000,
    free_nats: float = 0.25,
    word_dropout: float = 0.25,
    importance_samples: int = 1,
    temperature: float = 1.0,
    learning_rate: float = 5e-3,
) -> Model:
    """Return a VAE of texts (L,) over `data.levels` symbols.

    Args:
        data: describes the texts.
        training: the steps over which the weight of the divergence increases and the learning rate decays.
        device: the model's device.
        latent: numbers in a code.
        embedding: size of a symbol's embedding.
        hidden: cells of each LSTM.
        warm_up: the share of the steps over which the weight of the divergence increases, in [0, 1].
        warm_up_steps: the number of steps over which it increases if the number of steps is unknown.
        free_nats: how large the divergence of a code's number may be, on average, at no cost.
        word_dropout: probability that a symbol is hidden from the decoder, in training.
        importance_samples: codes per text that `log_likelihood` draws.
        temperature: divides the logits in `sample`.
        learning_rate: Adam's, at the beginning.

    Raises:
        Unsuitable: the data are not texts.
        ValueError: a value is out of its domain; a one-line message.
    """
    require_texts(data)
    check_counts(latent=latent, embedding=embedding, hidden=hidden, importance_samples=importance_samples)
    check_positive(temperature=temperature, learning_rate=learning_rate)
    check_share(warm_up=warm_up, word_dropout=word_dropout)
    check_not_negative(free_nats=free_nats, warm_up_steps=warm_up_steps)
    rising = warm_up_steps if training.steps is None else round(warm_up * training.steps)
    networks = nn.ModuleDict(
        {
            "encoder": Encoder(data.levels, embedding, hidden, latent),
            "decoder": ConditionalDecoder(data.levels, data.shape[0], embedding, hidden, latent),
            "objective": Objective(rising, free_nats, word_dropout, importance_samples, temperature),
        }
    ).to(device)
    fused = device.type in ("cpu", "cuda")  # one kernel updates all weights, on devices that have one
    optimizer = torch.optim.Adam(networks.parameters(), learning_rate, fused=fused)
    return Model(networks, {"vae": optimizer}, schedulers_of("vae", optimizer, training, warm_up=0.0))


def train_step(model: Model, batch: Tensor, step: int) -> dict[str, Tensor]:
    """Step Adam once on the loss of `Objective`; "loss", "reconstruction" and "kl" are nats per text."""
    objective, optimizer = _objective(model), model.optimizers["vae"]
    mean, log_variance = _encoder(model)(batch)
    codes = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
    logits = _decoder(model)(batch, codes, objective.dropped(batch))
    reconstruction = -log_probabilities(logits, batch).mean()
    divergences = kl_divergence(mean, log_variance)
    loss = reconstruction + objective.cost(divergences, step)
    loss.backward()
    clip_grad_norm_(model.networks.parameters(), CLIP)
    optimizer.step()
    optimizer.zero_grad()
    for scheduler in model.schedulers.values():
        scheduler.step()
    return {"loss": loss.detach(), "reconstruction": reconstruction.detach(), "kl": divergences.detach().sum(1).mean()}


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    """Draw codes from the prior N(0, I), then one text each from p(x | z), at the model's temperature: (count, L)."""
    decoder, device = _decoder(model), generator.device
    codes = torch.randn(count, decoder.latent, generator=generator, device=device)
    noise = torch.rand(count, decoder.length, generator=generator, device=device)
    return generate(decoder, decoder.begin(codes), noise, _objective(model).temperature)


@hookimpl
def reconstruct(model: Model, batch: Tensor) -> Tensor:
    """Decode the posterior means of the texts (B, L), the most likely symbol at each position: same shape."""
    decoder = _decoder(model)
    return generate(decoder, decoder.begin(encode(model, batch)), torch.zeros(batch.shape, device=batch.device), GREEDY)


@hookimpl
def encode(model: Model, batch: Tensor) -> Tensor:
    """Return the posterior means of the texts: (B, latent)."""
    mean: Tensor = _encoder(model)(batch)[0]
    return mean


def log_likelihood(model: Model, batch: Tensor, generator: torch.Generator) -> Tensor:
    """Return a lower bound on log p(x) of each text (B, L) in nats, including the end symbol, (B,): see `log_weights`.

    No dropout is used. A draw above 0 is clipped: a log-probability is at most 0, so the result is still a bound.
    """
    mean, log_variance = _encoder(model)(batch)
    draws = []
    for _ in range(_objective(model).importance_samples):  # one at a time, so that more draws take no more memory
        noise = torch.randn(mean.shape, generator=generator, device=generator.device, dtype=mean.dtype)
        draws.append(log_weights(_decoder(model), batch, mean, log_variance, noise))
    return (torch.stack(draws).logsumexp(0) - math.log(len(draws))).clamp_(max=0)


def _encoder(model: Model) -> Encoder:
    return cast(Encoder, model.networks["encoder"])


def _decoder(model: Model) -> ConditionalDecoder:
    return cast(ConditionalDecoder, model.networks["decoder"])


def _objective(model: Model) -> Objective:
    return cast(Objective, model.networks["objective"])


# Not used as decorators, because `make mutants` plants no bugs in decorated functions.
hookimpl(train_step)
hookimpl(log_likelihood)
