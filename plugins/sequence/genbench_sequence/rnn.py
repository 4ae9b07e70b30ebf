"""A character LSTM trained by teacher forcing; its likelihood is exact.

A. Graves (2013), "Generating Sequences With Recurrent Neural Networks", https://arxiv.org/abs/1308.0850
"""

from __future__ import annotations

from typing import Any

import torch

from genbench import Data, Model, Training, hookimpl
from genbench_sequence.autoregressive import assemble, log_likelihood, sample, train_step
from genbench_sequence.options import check_counts, check_positive
from genbench_sequence.recurrent import Recurrent
from genbench_sequence.texts import require_texts

__all__ = ["build", "build_model", "log_likelihood", "sample", "train_step"]


@hookimpl
def build_model(data: Data, training: Training, options: dict[str, Any], device: torch.device) -> Model:
    """Build the language model; `options` are the keyword arguments of `build`."""
    return build(data, training, device, **options)


def build(
    data: Data,
    training: Training,
    device: torch.device,
    *,
    embedding: int = 64,
    hidden: int = 128,
    layers: int = 1,
    temperature: float = 1.0,
    learning_rate: float = 5e-3,
    clip: float = 5.0,
) -> Model:
    """Return a language model of texts (L,) over `data.levels` symbols.

    Args:
        data: describes the texts.
        training: the steps over which the learning rate decays.
        device: the model's device.
        embedding: size of a symbol's embedding.
        hidden: cells per LSTM layer.
        layers: layers of the LSTM.
        temperature: divides the logits in `sample`.
        learning_rate: Adam's, at the beginning.
        clip: maximum norm of the gradient of the nats per text.

    Raises:
        Unsuitable: the data are not texts.
        ValueError: a value is out of its domain; a one-line message.
    """
    require_texts(data)
    check_counts(embedding=embedding, hidden=hidden, layers=layers)
    check_positive(temperature=temperature, learning_rate=learning_rate, clip=clip)
    network = Recurrent(data.levels, data.shape[0], embedding, hidden, layers)
    return assemble(
        network, device, training, temperature=temperature, learning_rate=learning_rate, warm_up=0.0, clip=clip
    )
