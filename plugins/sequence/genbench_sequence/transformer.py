"""A small causal Transformer, trained by teacher forcing; its likelihood is exact.

A. Vaswani et al. (2017), "Attention Is All You Need", https://arxiv.org/abs/1706.03762
"""

from __future__ import annotations

from typing import Any

import torch

from genbench import Data, Model, Training, hookimpl
from genbench_sequence.autoregressive import assemble, log_likelihood, sample, train_step
from genbench_sequence.causal import Decoder
from genbench_sequence.options import check_counts, check_positive
from genbench_sequence.texts import require_texts

__all__ = ["build", "build_model", "log_likelihood", "sample", "train_step"]

WARM_UP = 0.05  # of the steps


@hookimpl
def build_model(data: Data, training: Training, options: dict[str, Any], device: torch.device) -> Model:
    """Build the language model; `options` are the keyword arguments of `build`."""
    return build(data, training, device, **options)


def build(
    data: Data,
    training: Training,
    device: torch.device,
    *,
    width: int = 64,
    layers: int = 2,
    heads: int = 2,
    temperature: float = 1.0,
    learning_rate: float = 2e-3,
) -> Model:
    """Return a language model of texts (L,) over `data.levels` symbols.

    Args:
        data: describes the texts.
        training: the steps over which the learning rate rises and decays.
        device: the model's device.
        width: numbers per position, a multiple of `heads`.
        layers: blocks of attention and a network of four times the width.
        heads: number of heads in each attention.
        temperature: divides the logits in `sample`.
        learning_rate: Adam's, at its highest.

    Raises:
        Unsuitable: the data are not texts.
        ValueError: a value is out of its domain; a one-line message.
    """
    require_texts(data)
    check_counts(width=width, layers=layers, heads=heads)
    check_positive(temperature=temperature, learning_rate=learning_rate)
    if width % heads:
        raise ValueError(f"width must be a multiple of heads, {heads}, not {width}")
    network = Decoder(data.levels, data.shape[0], width, layers, heads)
    return assemble(
        network, device, training, temperature=temperature, learning_rate=learning_rate, warm_up=WARM_UP, clip=None
    )
