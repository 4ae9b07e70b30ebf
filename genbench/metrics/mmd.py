"""`mmd`: the squared maximum mean discrepancy of unit features under a wide Gaussian kernel, as CMMD takes it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor

from genbench.metrics.constants import MMD_BANDWIDTH, MMD_FACTOR
from genbench.metrics.features import unit_length
from genbench.metrics.rbf import KernelRows, kernel_rows

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["measure", "unit_mmd", "unit_rows"]


def unit_mmd(samples: Tensor, reference: Tensor) -> float:
    """Return 1000 times the biased estimate of the squared MMD between features of unit length, σ = 10.

    `1/M² Σ_ij k(x_i, x_j) + 1/N² Σ_ij k(y_i, y_j) − 2/(MN) Σ_ij k(x_i, y_j)`, `k(x, y) = exp(−|x − y|²/(2 σ²))`, over
    all pairs, including those of a point with itself. On CLIP features it is CMMD.

    Paper: Jayasumana et al. 2024, "Rethinking FID: towards a better evaluation metric for image generation",
    https://arxiv.org/abs/2401.09603; Gretton et al. 2012, "A kernel two-sample test", equation 5,
    https://jmlr.org/papers/v13/gretton12a.html

    Args:
        samples: (M, d) features of any length, M ≥ 1; those of length 0 stay as they are.
        reference: (N, d) features of the data, N ≥ 1.

    Returns:
        At least 0, and below 20.

    Example:
        >>> import torch
        >>> round(unit_mmd(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 2.0]])), 4)
        19.9003
    """
    return MMD_FACTOR * kernel_rows(unit_length(samples), unit_length(reference), MMD_BANDWIDTH).biased


def unit_rows(evidence: Evidence) -> KernelRows:
    """The sums of the kernel over the evidence's unit features."""
    keep = partial(evidence.statistics.kept, "mmd_sum")
    return kernel_rows(unit_length(evidence.samples), unit_length(evidence.reference), MMD_BANDWIDTH, keep)


def measure(evidence: Evidence) -> dict[str, float]:
    """`mmd` of the samples."""
    return {"mmd": MMD_FACTOR * evidence.once(unit_rows).biased}
