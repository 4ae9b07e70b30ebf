"""The discriminator of `seqgan`: convolutions over windows of symbols, of several widths side by side."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Discriminator"]

WIDEST = 5  # symbols of a window


class Discriminator(nn.Module):
    """Embedding, a convolution for each width of window, the largest value of each over the text, a highway, a logit.

    Y. Kim (2014), "Convolutional Neural Networks for Sentence Classification", section 2,
    https://arxiv.org/abs/1408.5882; with the highway of L. Yu et al. (2017), "SeqGAN", appendix,
    https://arxiv.org/abs/1609.05473. Theirs has windows of up to 20 symbols, and dropout.

    Args:
        symbols: V, the size of the vocabulary.
        length: L, of a text.
        embedding: numbers that a symbol becomes.
        filters: for each width of window, from 1 to 5 symbols, or to L where that is less.
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
        """Return the logit that each text (B, L) is one of the data, not drawn: (B,), at least float32.

        What follows an end must be 0: it is looked at, since how long a text is tells something.
        """
        symbols = self.embedding(tokens).transpose(1, 2)  # (B, embedding, L)
        features = torch.cat([F.relu(window(symbols)).amax(2) for window in self.windows], 1)
        gate = torch.sigmoid(self.carried(features))
        logits: Tensor = self.head(gate * F.relu(self.changed(features)) + (1 - gate) * features).squeeze(1)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))
