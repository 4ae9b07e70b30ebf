"""The sums of the KID kernel that involve samples: over pairs where items are few, else from third moments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from torch import Tensor

from genbench.metrics.third_moments import row_sums, self_kernel, sum_of_distinct, third_moments, total

__all__ = ["KidSums", "MomentSums", "PairSums"]


class KidSums(Protocol):
    """Sums over M samples and N reference features."""

    @property
    def within(self) -> Tensor:
        """0-d float64, over ordered pairs of distinct samples."""

    @property
    def across(self) -> Tensor:
        """0-d float64, over all pairs of a sample and a reference feature."""

    @property
    def contrasts(self) -> Tensor:
        """(M,) float64, each sample's sum with the others over M − 2 minus its sum with the reference over N."""


@dataclass(frozen=True)
class PairSums:
    """Sums over pairs.

    Args:
        within_rows: (M,) float64 of each sample with the others.
        across_rows: (M,) float64 of each sample with the reference.
        reference_count: N.
    """

    within_rows: Tensor
    across_rows: Tensor
    reference_count: int

    @property
    def within(self) -> Tensor:
        return self.within_rows.sum()

    @property
    def across(self) -> Tensor:
        return self.across_rows.sum()

    @property
    def contrasts(self) -> Tensor:
        return self.within_rows / (len(self.within_rows) - 2) - self.across_rows / self.reference_count


class MomentSums:
    """Sums from moments.

    Args:
        samples: (M, d) features.
        of_reference: the moments of the reference.
        reference_count: N.
    """

    def __init__(self, samples: Tensor, of_reference: Tensor, reference_count: int) -> None:
        self._samples = samples
        self._reference, self._reference_count = of_reference, reference_count
        self._own = third_moments(samples)

    @cached_property
    def within(self) -> Tensor:
        return sum_of_distinct(self._samples, self._own)

    @cached_property
    def across(self) -> Tensor:
        return total(self._own, self._reference, self._samples.shape[1])

    @cached_property
    def contrasts(self) -> Tensor:
        others = len(self._samples) - 2
        both = self._own / others - self._reference / self._reference_count
        return row_sums(self._samples, both) - self_kernel(self._samples) / others
