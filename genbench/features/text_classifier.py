"""The text classifier: a small network over symbols (X. Zhang, J. Zhao, Y. LeCun, "Character-level Convolutional
Networks for Text Classification", 2015, https://arxiv.org/abs/1509.01626, with fewer and narrower layers).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genbench.features.classifier_network import SLOPE, Design
from genbench.features.intake import Texts

__all__ = ["PROCEDURE", "design"]

PROCEDURE = "text-classifier-1"  # raise the number whenever a change here or in the training changes the weights
_EMBEDDED = 32
_WIDTHS = (64, 128)
_REACH = 3  # kernel size of a convolution, in symbols


def design(length: int, levels: int) -> Design:
    """Return the design for texts of `length` symbols from a vocabulary of `levels`.

    It has an embedding of each symbol (including the end and the padding after it), two convolutions of kernel size 3,
    the second after halving if the text has at least 8 symbols, and the maximum of each channel over all positions.
    """
    return Design(
        procedure=PROCEDURE,
        intake=Texts(levels, length),
        body=lambda: _body(length, levels),
        varied=_as_they_are,
        item_bytes=2048 * length,
        without_labels="ngram",
    )


class _Embedding(nn.Embedding):
    """Maps (B, L) tokens to (B, channels, L), the layout that convolutions take."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens).transpose(1, 2)


def _body(length: int, levels: int) -> tuple[list[nn.Module], int]:
    layers: list[nn.Module] = [_Embedding(levels, _EMBEDDED)]
    channels = _EMBEDDED
    for wider in _WIDTHS:
        layers += [
            nn.Conv1d(channels, wider, _REACH, padding=_REACH // 2, bias=False),
            nn.BatchNorm1d(wider),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
        channels = wider
        if wider != _WIDTHS[-1] and length >= 8:
            layers.append(nn.MaxPool1d(2))
    return [*layers, nn.AdaptiveMaxPool1d(1), nn.Flatten()], channels


def _as_they_are(tokens: Tensor, randomness: torch.Generator) -> Tensor:
    """Leave the tokens unchanged: one symbol more or less may change the class."""
    return tokens
