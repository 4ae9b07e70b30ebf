"""Squared maximum mean discrepancies under a Gaussian kernel, from the kernel's sums over each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genbench.metrics.blocks import Block
from genbench.metrics.neighbours import BYTE_BUDGET, sweep

__all__ = ["KernelRows", "RbfSums", "kernel_rows", "rbf_rows"]


class RbfSums:
    """Observer: `Σ_j exp(−|x_i − y_j|²/(2 σ²))` for every row i, never pairing a point with itself.

    Args:
        count: rows on the left of the sweep.
        bandwidth: σ.
    """

    def __init__(self, count: int, bandwidth: float, device: torch.device | None = None) -> None:
        self.rows = torch.zeros(count, dtype=torch.float64, device=device)
        self._rate = -0.5 / bandwidth**2

    def observe(self, block: Block) -> None:
        for strip in block.strips():
            kernel = (block.squared_of(strip) * self._rate).exp_()
            if block.same:
                kernel.diagonal(strip.start).zero_()
            self.rows[block.rows][strip] += kernel.sum(dim=1)
            if block.mirrored:
                self.rows[block.columns] += kernel.sum(dim=0)


@dataclass(frozen=True)
class KernelRows:
    """Sums over M samples and N reference features of a kernel with k(x, x) = 1.

    Args:
        within: (M,) float64 for each sample with the others.
        across: (M,) float64 for each sample with the reference.
        among: 0-d float64 over ordered pairs of distinct reference features.
        reference: N.
    """

    within: Tensor
    across: Tensor
    among: Tensor
    reference: int

    @property
    def biased(self) -> float:
        """The V-statistic, over all pairs: never negative."""
        m, n = len(self.within), self.reference
        within, among = (self.within.sum() + m) / m**2, (self.among + n) / n**2
        return float(within + among - 2 * self.across.sum() / (m * n))

    @property
    def unbiased(self) -> float:
        """The U-statistic, over pairs of distinct points."""
        m, n = len(self.within), self.reference
        within, among = self.within.sum() / (m * (m - 1)), self.among / (n * (n - 1))
        return float(within + among - 2 * self.across.sum() / (m * n))

    def contrasts(self, *, biased: bool = False) -> Tensor:
        """Return (M,) float64, for `kernel_standard_error`; of the biased estimate, but for a constant."""
        others = len(self.within) - (1 if biased else 2)
        return self.within / others - self.across / self.reference


def rbf_rows(left: Tensor, right: Tensor, bandwidth: float, byte_budget: int = BYTE_BUDGET) -> Tensor:
    """Return (len(left),) float64 sums of each row's kernel with `right`; with `left is right`, with all others."""
    sums = RbfSums(len(left), bandwidth, left.device)
    sweep(left, right, [sums], byte_budget)
    return sums.rows


def kernel_rows(
    samples: Tensor, reference: Tensor, bandwidth: float, among: Callable[[Callable[[], Tensor]], Tensor] | None = None
) -> KernelRows:
    """Sweep (M, d) samples with themselves and with an (N, d) reference, and the reference with itself.

    Args:
        samples: features.
        reference: features of the data.
        bandwidth: σ.
        among: caches what depends only on the reference, given a function that computes it.
    """

    def find() -> Tensor:
        return rbf_rows(reference, reference, bandwidth).sum()

    return KernelRows(
        within=rbf_rows(samples, samples, bandwidth),
        across=rbf_rows(samples, reference, bandwidth),
        among=find() if among is None else among(find),
        reference=len(reference),
    )
