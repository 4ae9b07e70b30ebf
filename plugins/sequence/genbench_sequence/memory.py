"""The LSTM used by all recurrent networks here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Memory", "State"]

State = tuple[Tensor, Tensor]  # hidden state and cell, (layers, B, hidden) each


class Memory(nn.LSTM):
    """An LSTM over (B, L, features) that keeps the precision of its weights on a CPU, even under autocast.

    oneDNN has no kernel to train an LSTM in bfloat16, and torch's autocast would request one.
    """

    def __init__(self, features: int, hidden: int, layers: int = 1) -> None:
        super().__init__(features, hidden, layers, batch_first=True)

    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        """Return the hidden state at each position, (B, L, hidden), and the state after the last."""
        if features.device.type != "cpu":
            return self._run(features, state)
        exact = next(self.parameters()).dtype
        with torch.autocast("cpu", enabled=False):
            return self._run(features.to(exact), state and (state[0].to(exact), state[1].to(exact)))

    def _run(self, *arguments: Any) -> tuple[Tensor, State]:
        found: tuple[Tensor, State] = super().forward(*arguments)
        return found
