"""`GaussianStatistics`: mean and covariance of features, in float64, and the factors derived from them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from genbench.metrics.features import check_features

__all__ = ["GaussianStatistics", "rank_tolerance"]

_CHUNK = 8192


class GaussianStatistics:
    """A Gaussian fitted to features: `μ = Σx/N`, `Σ = Σ(x − μ)(x − μ)ᵀ/(N − 1)`.

    Built from features, from moments (`FeatureMoments`), or from a mean and a covariance. With no more features than
    dimensions the covariance is singular, and its square-root factor, the centred features, is kept instead: it is
    smaller, and exact where the covariance has lost half the digits.

    Args:
        mean: (d,).
        covariance: (d, d), symmetric, or None where a factor is given.
        count: number of features they were computed from; where unknown, 2, the minimum for a covariance.
        factor: (r, d) with `factorᵀ factor = Σ`, or None.

    Raises:
        ValueError: neither covariance nor factor, shapes that do not fit, or values that are not finite.

    Example:
        >>> statistics = GaussianStatistics.from_features(torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
        >>> statistics.mean.tolist(), statistics.covariance.tolist()
        ([1.0, 2.0], [[2.0, 2.0], [2.0, 2.0]])
    """

    def __init__(self, mean: Tensor, covariance: Tensor | None, count: int, factor: Tensor | None = None) -> None:
        if covariance is None and factor is None:
            raise ValueError("Gaussian statistics: needs a covariance or a factor of it")
        for name, tensor in (("covariance", covariance), ("factor", factor)):
            if tensor is not None:
                check_features(tensor, name, dimension=len(mean))
        if count < 2:
            raise ValueError(f"Gaussian statistics: a covariance needs at least 2 features, got {count}")
        check_features(mean[None], "mean")
        self.mean = mean.double()
        self.count = count
        self._dense: Tensor | None = None if covariance is None else covariance.double()
        self._factor: Tensor | None = None if factor is None else factor.double()

    @classmethod
    def from_features(cls, features: Tensor) -> GaussianStatistics:
        """Fit (N, d) features, N ≥ 2, centring them first: two passes, without cancellation however large the mean."""
        check_features(features, "features")
        count, dimension = features.shape
        if count < 2:
            raise ValueError(f"Gaussian statistics: a covariance needs at least 2 features, got {count}")
        mean = features.mean(dim=0, dtype=torch.float64)
        if count <= dimension:
            # One new tensor, modified in place: fresh pages cost more than the arithmetic here.
            factor = features.to(torch.float64, copy=True).sub_(mean).div_((count - 1) ** 0.5)
            return cls(mean, None, count, factor=factor)
        scatter = torch.zeros(dimension, dimension, dtype=torch.float64, device=features.device)
        for chunk in torch.split(features, _CHUNK):
            centred = chunk.double() - mean
            scatter.addmm_(centred.T, centred)
        return cls(mean, scatter / (count - 1), count)

    def without(self, features: Tensor, removed: Tensor) -> GaussianStatistics:
        """Return the statistics of `features`, from which these were computed, without the rows `removed`.

        Subtracting the few costs less than summing the rest, and resampling does it over and over.

        Args:
            features: (N, d), those that these statistics were computed from.
            removed: (R,) int64, distinct; at least 2 rows must remain.
        """
        left = self.count - len(removed)
        if left <= self.dimension:
            kept = torch.ones(self.count, dtype=torch.bool, device=features.device)
            kept[removed] = False
            return GaussianStatistics.from_features(features[kept])
        scatter = self.covariance * (self.count - 1)
        drift = torch.zeros_like(self.mean)
        for chunk in torch.split(removed, _CHUNK):
            centred = features[chunk].double() - self.mean
            scatter.addmm_(centred.T, centred, alpha=-1)
            drift -= centred.sum(dim=0) / left
        scatter.addr_(drift, drift, alpha=-left)
        return GaussianStatistics(self.mean + drift, scatter / (left - 1), left)

    @property
    def dimension(self) -> int:
        return len(self.mean)

    @property
    def low_rank(self) -> bool:
        """Whether the centred features represent the covariance (N ≤ d)."""
        return self._dense is None

    @cached_property
    def covariance(self) -> Tensor:
        """(d, d) float64."""
        if self._dense is not None:
            return self._dense
        return self.factor.T @ self.factor

    @cached_property
    def trace(self) -> float:
        """`tr Σ`: the sum of the variances."""
        if self._dense is not None:
            return float(self._dense.trace())
        return float(torch.linalg.vector_norm(self.factor)) ** 2

    @cached_property
    def cholesky(self) -> Tensor | None:
        """(d, d) lower L with `L Lᵀ = Σ`, or None where Σ is not positive definite in float64."""
        factor, failed = torch.linalg.cholesky_ex(self.covariance)
        return None if int(failed) else factor

    @cached_property
    def factor(self) -> Tensor:
        """(r, d) with `factorᵀ factor = Σ`: the centred features, else Cholesky's Lᵀ, else `diag(√λ) Vᵀ` over λ > 0."""
        if self._factor is not None:
            return self._factor
        if self.cholesky is not None:
            return self.cholesky.T
        values: Tensor
        vectors: Tensor
        values, vectors = torch.linalg.eigh(self.covariance)
        kept = values > rank_tolerance(values)
        return (vectors[:, kept] * values[kept].sqrt()).T

    @cached_property
    def eigenvalues(self) -> Tensor:
        """(min(N, d),) float64 eigenvalues of Σ, ascending, those below zero by rounding set to zero."""
        values: Tensor = (
            torch.linalg.svdvals(self.factor).square().flip(0)
            if self.low_rank
            else torch.linalg.eigvalsh(self.covariance)
        )
        return values.clamp(min=0)

    @property
    def rank(self) -> int:
        """How many eigenvalues are distinguishable from zero: above `d · 2⁻⁵² · λ_max`."""
        return int((self.eigenvalues > rank_tolerance(self.eigenvalues, self.dimension)).sum())

    @property
    def condition(self) -> float:
        """The largest eigenvalue over the smallest that is distinguishable from zero; 1 for a single point."""
        kept = self.eigenvalues[self.eigenvalues > rank_tolerance(self.eigenvalues, self.dimension)]
        return float(kept.max() / kept.min()) if len(kept) else 1.0

    def tensors(self) -> dict[str, Tensor]:
        """All that `from_tensors` needs, for a file: mean, count, and the covariance or its factor."""
        kept = {"mean": self.mean, "count": torch.tensor(self.count)}
        if self._dense is not None:
            kept["covariance"] = self._dense
        if self._factor is not None:
            kept["factor"] = self._factor
        return kept

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> GaussianStatistics:
        """Restore the statistics from what `tensors` returned."""
        return cls(tensors["mean"], tensors.get("covariance"), int(tensors["count"]), tensors.get("factor"))


def rank_tolerance(eigenvalues: Tensor, dimension: int | None = None) -> float:
    """The threshold below which an eigenvalue is rounding: `d · 2⁻⁵² · λ_max`."""
    if not len(eigenvalues):  # all features are equal
        return 0.0
    size = dimension or len(eigenvalues)
    return float(size * torch.finfo(torch.float64).eps * eigenvalues.max().clamp(min=0))
