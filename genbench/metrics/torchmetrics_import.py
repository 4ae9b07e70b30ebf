"""Imports from torchmetrics what the metrics use. It imports torchvision, which must first be made importable."""

from __future__ import annotations

from genbench.datasets.torchvision_import import declare_missing_operators

declare_missing_operators()

from torchmetrics import Metric  # noqa: E402 - only after the declaration
from torchmetrics.functional.image import (  # noqa: E402
    multiscale_structural_similarity_index_measure as ms_ssim,
)
from torchmetrics.functional.image import (  # noqa: E402
    structural_similarity_index_measure as ssim,
)

__all__ = ["Metric", "ms_ssim", "ssim"]
