"""Imports what the metrics use from torchmetrics, which imports torchvision; that must first be made importable."""

from __future__ import annotations

from genbench.machine.torchvision_import import declare_missing_operators

declare_missing_operators()

from torchmetrics import Metric  # noqa: E402 - only after the declaration

__all__ = ["Metric"]
