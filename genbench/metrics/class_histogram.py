"""The shares of the classes that a classifier predicts for a set."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.metrics.features import check_features

__all__ = ["class_histogram"]


def class_histogram(logits: Tensor) -> Tensor:
    """Return (C,) float64: the shares of the classes predicted by a classifier's (N, C) logits, N ≥ 1."""
    check_features(logits, "logits")
    counts = torch.bincount(logits.argmax(dim=1), minlength=logits.shape[1]).double()
    return counts / counts.sum()
