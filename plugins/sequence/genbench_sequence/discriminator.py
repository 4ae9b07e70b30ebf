"""The discriminator of `seqgan`: parallel convolutions over windows of symbols, of several widths."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Discriminator"]

WIDEST = 5  # symbols per window


class Discriminator(nn.Module):
    """Embedding, a convolution per window width, the maximum of each over the text, a highway layer, a logit.

    Y. Kim (2014), "Convolutional Neural Networks for Sentence Classification", section 2,
    https://arxiv.org/abs/1408.5882; with the highway of L. Yu et al. (2017), "SeqGAN", appendix,
    https://arxiv.org/abs/1609.05473. Theirs has windows of up to 20 symbols, and dropout.

    Args:
        symbols: V, the size of the vocabulary.
        length: L, the length of a text.
        embedding: size of a symbol's embedding.
        filters: per window width, from 1 to 5 symbols, or to L if that is less.
    """

    def __init__(self, symbols: int, length: int, embedding: int, filters: int) -> None:
        super().__init__()
        widths = range(1, min(WIDEST, length) + 1)
        features = filters * len(widths)
        self.embedding = nn.Embedding(symbols, embedding)
        self.windows = nn.ModuleList(nn.Conv1d(embedding, filters, width) for width in widths)
        self.carried = nn.Linear(features, features)
        self.changed = nn.Linear(features, features)
        self.head = nn.Linear(features, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logit that each text (B, L) comes from the data rather than the generator: (B,), at least float32.

        What follows an end must be 0: the network sees it, because the length of a text is informative.
        """
        symbols = self.embedding(tokens).transpose(1, 2)  # (B, embedding, L)
        features = torch.cat([F.relu(window(symbols)).amax(2) for window in self.windows], 1)
        gate = torch.sigmoid(self.carried(features))
        logits: Tensor = self.head(gate * F.relu(self.changed(features)) + (1 - gate) * features).squeeze(1)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))
