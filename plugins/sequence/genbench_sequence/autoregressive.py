"""What `rnn` and `transformer` share: a network that predicts each symbol from those before it, and the hooks."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from genbench import Model, Training, hookimpl
from genbench_sequence.drawing import Predictor, generate
from genbench_sequence.schedule import schedulers_of
from genbench_sequence.texts import log_probabilities

__all__ = ["LanguageModel", "assemble", "log_likelihood", "sample", "train_step"]

State = TypeVar("State")
NAME = "language_model"


class LanguageModel(Predictor[State]):
    r"""p(x) as a product over symbols, each predicted from those before it.

    .. math:: p(x) = \prod_t p(x_t \mid x_1, \dots, x_{t-1})

    Args:
        length: L, the length of a text.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.temperature = 1.0  # of `sample`
        self.clip: float | None = None  # maximum norm of a gradient

    @abstractmethod
    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of each token (B, L) from those before it, all at once: (B, L, V)."""

    @abstractmethod
    def begin(self, count: int, device: torch.device) -> State:
        """Return the state of `count` texts of which nothing has been read."""


def assemble(
    network: LanguageModel[Any],
    device: torch.device,
    training: Training,
    *,
    temperature: float,
    learning_rate: float,
    warm_up: float,
    clip: float | None,
) -> Model:
    """Return the model on `device`, with Adam and, if the budget is in steps, a schedule over it."""
    network.temperature, network.clip = temperature, clip
    network.to(device)
    fused = device.type in ("cpu", "cuda")  # one kernel updates all weights, on devices that have one
    optimizer = torch.optim.Adam(network.parameters(), learning_rate, fused=fused)
    return Model(nn.ModuleDict({NAME: network}), {NAME: optimizer}, schedulers_of(NAME, optimizer, training, warm_up))


def train_step(model: Model, batch: Tensor) -> dict[str, Tensor]:
    """Step Adam once on the mean of -log p(x) over the texts (B, L): "nll", nats per text."""
    network, optimizer = _network(model), model.optimizers[NAME]
    loss = -log_probabilities(network(batch), batch).mean()
    loss.backward()
    if network.clip is not None:
        clip_grad_norm_(network.parameters(), network.clip)
    optimizer.step()
    optimizer.zero_grad()
    for scheduler in model.schedulers.values():
        scheduler.step()
    return {"nll": loss.detach()}


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    """Draw texts symbol by symbol at the model's temperature: int64 (count, L)."""
    network = _network(model)
    noise = torch.rand(count, network.length, generator=generator, device=generator.device)
    return generate(network, network.begin(count, generator.device), noise, network.temperature)


def log_likelihood(model: Model, batch: Tensor) -> Tensor:
    """Return log p(x) of the texts (B, L) in nats, including the end symbol, (B,): exact, whatever the temperature."""
    return log_probabilities(_network(model)(batch), batch)


def _network(model: Model) -> LanguageModel[Any]:
    return cast("LanguageModel[Any]", model.networks[NAME])


# Not used as decorators, because `make mutants` plants no bugs in decorated functions.
hookimpl(train_step)
hookimpl(log_likelihood)
