"""A long short-term memory that predicts the next symbol: the network of `rnn` and the generator of `seqgan`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genbench_sequence.autoregressive import LanguageModel
from genbench_sequence.memory import Memory, State
from genbench_sequence.texts import inputs_of

__all__ = ["Recurrent"]


class Recurrent(LanguageModel[State]):
    """Embedding, LSTM layers, and a linear layer to the logits of the next symbol.

    A. Graves (2013), "Generating Sequences With Recurrent Neural Networks", section 2. https://arxiv.org/abs/1308.0850

    Args:
        symbols: V, the size of the vocabulary.
        length: L, the length of a text.
        embedding: size of a symbol's embedding; the paper's one-hot inputs are the case without a bottleneck.
        hidden: cells per layer.
        layers: number of stacked layers.
    """

    def __init__(self, symbols: int, length: int, embedding: int, hidden: int, layers: int) -> None:
        super().__init__(length)
        self.embedding = nn.Embedding(symbols, embedding)
        self.memory = Memory(embedding, hidden, layers)
        self.head = nn.Linear(hidden, symbols)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.head(self.memory(self.embedding(inputs_of(tokens)))[0])
        return logits

    def begin(self, count: int, device: torch.device) -> State:
        nothing = self.head.weight.new_zeros(self.memory.num_layers, count, self.memory.hidden_size, device=device)
        return nothing, nothing

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        found, state = self.memory(self.embedding(tokens)[:, None], state)
        return self.head(found[:, 0]), state
