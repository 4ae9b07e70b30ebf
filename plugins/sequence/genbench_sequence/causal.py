"""A causal Transformer decoder, and the cache of keys and values that lets it draw symbol by symbol."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench_sequence.autoregressive import LanguageModel
from genbench_sequence.texts import inputs_of

__all__ = ["Cache", "Decoder"]

INITIAL_DEVIATION = 0.02


@dataclass
class Cache:
    """The keys and values read so far: (layers, B, heads, L, width / heads) each, of which `filled` are present."""

    keys: Tensor
    values: Tensor
    filled: int = 0


class Attention(nn.Module):
    r"""Causal self-attention with several heads.

    .. math:: \mathrm{softmax}\Big(\frac{Q K^T}{\sqrt{d}} + M\Big) V, \quad M_{ij} = -\infty \text{ for } j > i

    A. Vaswani et al. (2017), "Attention Is All You Need", equation 1 and section 3.2.2.
    https://arxiv.org/abs/1706.03762
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Let each position attend to itself and to those before it: (B, L, width) to the same."""
        return self._merge(F.scaled_dot_product_attention(*self._split(features), is_causal=True))

    def advance(self, features: Tensor, keys: Tensor, values: Tensor, place: int) -> Tensor:
        """Do so for one position (B, 1, width), whose key and value go into the cache (B, heads, L, width / heads)."""
        query, keys[:, :, place : place + 1], values[:, :, place : place + 1] = self._split(features)
        return self._merge(F.scaled_dot_product_attention(query, keys[:, :, : place + 1], values[:, :, : place + 1]))

    def _split(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.inward(features).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return query, key, value  # (B, heads, L, width / heads) each

    def _merge(self, attended: Tensor) -> Tensor:
        merged: Tensor = self.outward(attended.transpose(1, 2).flatten(2))
        return merged


class Block(nn.Module):
    """Attention and a position-wise network, each applied to its normalised input and added to it (pre-norm).

    R. Xiong et al. (2020), "On Layer Normalization in the Transformer Architecture", figure 1b.
    https://arxiv.org/abs/2002.04745
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.network_norm = nn.LayerNorm(width)
        self.network = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))

    def forward(self, features: Tensor) -> Tensor:
        return self._through_network(features + self.attention(self.attention_norm(features)))

    def advance(self, features: Tensor, keys: Tensor, values: Tensor, place: int) -> Tensor:
        """Return the features of one position (B, 1, width), from its own input and the cache."""
        attended = self.attention.advance(self.attention_norm(features), keys, values, place)
        return self._through_network(features + attended)

    def _through_network(self, features: Tensor) -> Tensor:
        changed: Tensor = features + self.network(self.network_norm(features))
        return changed


class Decoder(LanguageModel[Cache]):
    """Embedding and learned positions, blocks, a final normalisation, and a linear layer to logits.

    Args:
        symbols: V, the size of the vocabulary.
        length: L, the length of a text.
        width: numbers per position, a multiple of `heads`.
        layers: number of blocks.
        heads: number of heads in each attention.
    """

    def __init__(self, symbols: int, length: int, width: int, layers: int, heads: int) -> None:
        super().__init__(length)
        self.heads = heads
        self.embedding = nn.Embedding(symbols, width)
        self.places = nn.Parameter(torch.empty(length, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, symbols)
        self.apply(_initialise)
        nn.init.normal_(self.places, std=INITIAL_DEVIATION)

    def forward(self, tokens: Tensor) -> Tensor:
        features = self.embedding(inputs_of(tokens)) + self.places
        for block in self.blocks:
            features = block(features)
        logits: Tensor = self.head(self.norm(features))
        return logits

    def begin(self, count: int, device: torch.device) -> Cache:
        size = (len(self.blocks), count, self.heads, self.length, self.places.shape[1] // self.heads)
        return Cache(self.places.new_zeros(size, device=device), self.places.new_zeros(size, device=device))

    def advance(self, tokens: Tensor, state: Cache) -> tuple[Tensor, Cache]:
        """Read a token of each text, (B,): one more position of the cache is filled, in place."""
        features = (self.embedding(tokens) + self.places[state.filled])[:, None]
        for block, keys, values in zip(self.blocks, state.keys, state.values, strict=True):
            features = block.advance(features, keys, values, state.filled)  # type: ignore[operator]  # a Block's
        state.filled += 1
        return self.head(self.norm(features[:, 0])), state


def _initialise(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02²); biases are 0."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INITIAL_DEVIATION)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
