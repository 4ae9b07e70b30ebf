"""`FeatureMoments`: mean and covariance of features that arrive in batches, mergeable across processes."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.metrics.features import check_features
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.torchmetrics_import import Metric

__all__ = ["FeatureMoments"]


class FeatureMoments(Metric):
    """Accumulate `N`, `Σ(x − o)` and `Σ(x − o)(x − o)ᵀ` in float64, in (d² + d) numbers however many features arrive.

    All states are sums, so `torchmetrics` merges them across processes by adding, in any order. The origin `o` must be
    the same in all of them. `Σ = (S − ssᵀ/N)/(N − 1)` suffers cancellation when the features lie far from the origin,
    by a factor of (mean/deviation)² in the last digit; the reference's mean is a good origin, and zero is fine for the
    features of networks.

    Args:
        dimension: d.
        origin: (d,), subtracted from every feature; zero by default.

    Example:
        >>> moments = FeatureMoments(2)
        >>> moments.update(torch.tensor([[0.0, 1.0]]))
        >>> moments.update(torch.tensor([[2.0, 3.0]]))
        >>> moments.compute().mean.tolist()
        [1.0, 2.0]
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    total: Tensor
    outer: Tensor
    count: Tensor
    origin: Tensor

    def __init__(self, dimension: int, origin: Tensor | None = None) -> None:
        super().__init__()
        self.add_state("total", default=torch.zeros(dimension, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("outer", default=torch.zeros(dimension, dimension, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")
        start = torch.zeros(dimension) if origin is None else origin
        self.register_buffer("origin", start.double(), persistent=False)

    def update(self, features: Tensor) -> None:
        """Add (B, d) features.

        Raises:
            ValueError: they are not finite or not (B, d).
        """
        check_features(features, "features", dimension=len(self.total))
        shifted = features.double() - self.origin
        self.total += shifted.sum(dim=0)
        self.outer.addmm_(shifted.T, shifted)
        self.count += len(features)

    def compute(self) -> GaussianStatistics:
        """Return the statistics of everything added so far; needs at least 2 features."""
        count = int(self.count)
        if count < 2:
            raise ValueError(f"feature moments: a covariance needs at least 2 features, got {count}")
        mean = self.total / count
        scatter = self.outer - torch.outer(self.total, mean)
        return GaussianStatistics(mean + self.origin, scatter / (count - 1), count)
