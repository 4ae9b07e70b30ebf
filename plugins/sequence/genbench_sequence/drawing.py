"""How texts are drawn from a model that predicts one symbol at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from genbench_sequence.texts import END

__all__ = ["GREEDY", "Predictor", "draw", "generate"]

GREEDY = 0.0  # a temperature
State = TypeVar("State")


class Predictor(nn.Module, ABC, Generic[State]):
    """A network that reads texts symbol by symbol; its state holds what it has read of each."""

    @abstractmethod
    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Read the next token of each text, (B,), and return logits of the one after it, (B, V), and the new state."""


def generate(
    network: Predictor[State], state: State, noise: Tensor, temperature: float = 1.0, *, early: bool = True
) -> Tensor:
    """Draw texts symbol by symbol: (B, L) tokens, 0 from each end on.

    All randomness is in `noise`, one row per text, so that a text does not depend on those drawn with it.

    Args:
        network: predicts the symbols.
        state: of B texts of which nothing has been read.
        noise: (B, L), uniform in [0, 1).
        temperature: see `draw`.
        early: whether to stop once all texts have ended, which reads a value: no training step may wait for that.
    """
    tokens = torch.full(noise.shape, END, dtype=torch.int64, device=noise.device)
    last, going = tokens[:, 0], torch.ones_like(tokens[:, 0], dtype=torch.bool)
    for place in range(noise.shape[1]):
        logits, state = network.advance(last, state)
        last = tokens[:, place] = draw(logits, noise[:, place], temperature).where(going, END)
        going = last != END
        if early and not bool(going.any()):
            break
    return tokens


def draw(logits: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Return a symbol from each row's softmax(logits / temperature) by the inverse of its distribution function: (B,).

    .. math:: x = \min \Big\{ k : \sum_{j \le k} p_j > u \Big\}, \quad p_j \propto \exp(o_j / T)

    As T approaches 0, this becomes the most likely symbol, whatever the noise; `GREEDY`, which is 0, selects it.

    Args:
        logits: (B, V).
        noise: (B,), uniform in [0, 1).
        temperature: T, at least 0.

    >>> draw(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0.4, 0.6]))
    tensor([0, 1])
    """
    if temperature == GREEDY:
        return logits.argmax(1)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # Subtract the maximum before dividing, so that even the smallest temperature does not give infinity minus infinity.
    masses = ((logits - logits.amax(1, keepdim=True)) / temperature).exp().cumsum(1)
    found = torch.searchsorted(masses, noise.to(masses)[:, None] * masses[:, -1:], right=True)
    return found.squeeze(1).clamp_(max=logits.shape[1] - 1)  # rounding can push the noise up to the whole mass
