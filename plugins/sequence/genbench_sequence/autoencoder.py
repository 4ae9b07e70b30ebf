"""The encoder and the decoder of `seq2seq-vae`: an LSTM each, with a code between them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genbench_sequence.drawing import Predictor
from genbench_sequence.memory import Memory
from genbench_sequence.texts import counted, inputs_of

__all__ = ["ConditionalDecoder", "Encoder", "Reading"]

Reading = tuple[Tensor, Tensor, Tensor]  # hidden state and cell, (1, B, hidden) each, and the codes (B, latent)


class Encoder(nn.Module):
    """q(z | x): an LSTM over the text, and two linear heads on its state at the last symbol, which may be the end.

    Args:
        symbols: V, the size of the vocabulary.
        embedding: size of a symbol's embedding.
        hidden: cells of the LSTM.
        latent: length of a code.
    """

    def __init__(self, symbols: int, embedding: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, embedding)
        self.memory = Memory(embedding, hidden)
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance for texts (B, L), (B, latent) each, at least float32 even under autocast."""
        states = self.memory(self.embedding(tokens))[0]
        last = counted(tokens).sum(1) - 1
        state = states[torch.arange(len(tokens), device=tokens.device), last]
        mean, log_variance = self.mean(state), self.log_variance(state)
        exact = torch.promote_types(mean.dtype, torch.float32)
        return mean.to(exact), log_variance.to(exact)


class ConditionalDecoder(Predictor[Reading]):
    """p(x | z): an LSTM that starts from a function of the code, and receives the code along with each symbol.

    A dropped symbol is read as an extra one outside the vocabulary, number V.

    Args:
        symbols: V, the size of the vocabulary.
        length: L, the length of a text.
        embedding: size of a symbol's embedding.
        hidden: cells of the LSTM.
        latent: length of a code.
    """

    def __init__(self, symbols: int, length: int, embedding: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.length, self.latent, self.unknown = length, latent, symbols
        self.embedding = nn.Embedding(symbols + 1, embedding)
        self.first = nn.Linear(latent, hidden)
        self.memory = Memory(embedding + latent, hidden)
        self.head = nn.Linear(hidden, symbols)

    def forward(self, tokens: Tensor, codes: Tensor, dropped: Tensor | None = None) -> Tensor:
        """Return the logits of each token (B, L) from those before it and the codes (B, latent): (B, L, V).

        Args:
            tokens: (B, L), the texts.
            codes: (B, latent).
            dropped: (B, L) bool, the symbols hidden from the decoder; all are predicted.
        """
        inputs = inputs_of(tokens)
        if dropped is not None:
            inputs = inputs.masked_fill(inputs_of(dropped), self.unknown)
        hidden, cell, _ = self.begin(codes)
        states = self.memory(self._beside(inputs, codes), (hidden, cell))[0]
        logits: Tensor = self.head(states)
        return logits

    def begin(self, codes: Tensor) -> Reading:
        """Return the state of texts of which only the codes (B, latent) have been read."""
        hidden = torch.tanh(self.first(codes))[None]
        return hidden, torch.zeros_like(hidden), codes

    def advance(self, tokens: Tensor, state: Reading) -> tuple[Tensor, Reading]:
        hidden, cell, codes = state
        states, (hidden, cell) = self.memory(self._beside(tokens[:, None], codes), (hidden, cell))
        return self.head(states[:, 0]), (hidden, cell, codes)

    def _beside(self, tokens: Tensor, codes: Tensor) -> Tensor:
        symbols = self.embedding(tokens)
        return torch.cat([symbols, codes.to(symbols)[:, None].expand(-1, tokens.shape[1], -1)], 2)
