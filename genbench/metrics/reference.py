"""`ReferenceStatistics`: what the metrics derive from the data alone, computed once for all models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from torch import Tensor

from genbench.metrics import pixels
from genbench.metrics.cells import assign_cells, fit_cells
from genbench.metrics.class_histogram import class_histogram
from genbench.metrics.constants import BALL_K, COPYING_CELLS, MANIFOLD_K
from genbench.metrics.features import limited
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.neighbours import nearest_neighbours, sweep
from genbench.metrics.not_measurable import NotMeasurable
from genbench.metrics.observers import ClippedBalls
from genbench.metrics.pairs import kid_rows, self_pairs, share_products
from genbench.metrics.reference_parts import split_reference
from genbench.metrics.third_moments import moments_pay, sum_of_distinct, third_moments

__all__ = ["ReferenceStatistics"]


class ReferenceStatistics:
    """Everything that metrics derive from the data and not from the model: computed on first use, then kept.

    `tensors` holds what was computed so far, by name; a caller stores it in a file keyed by the content of features and
    images, and passes it in again. Whatever it contains is not recomputed. The names and their meanings change only
    with `VERSION`.

    Args:
        features: (N, d) of the training split; (0, d) where only its mean and covariance are known.
        held_out: (H, d) of the held-out split, or None.
        logits: (N, C) of the training split, or None.
        images: (N, C, H, W) uint8 of the training split, or None.
        tensors: what `tensors` held before.
        gaussian: mean and covariance of the training features, where these are given instead of the features.
        most_compared: how many of the features metrics over pairs of items compare at most; None for all.

    Example:
        >>> import torch
        >>> data = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
        >>> first = ReferenceStatistics(data)
        >>> _ = first.kernel_sum
        >>> sorted(first.tensors)
        ['kernel_sum']
        >>> bool(ReferenceStatistics(data, tensors=first.tensors).kernel_sum == first.kernel_sum)
        True
    """

    VERSION = 6

    def __init__(
        self,
        features: Tensor,
        held_out: Tensor | None = None,
        logits: Tensor | None = None,
        images: Tensor | None = None,
        tensors: Mapping[str, Tensor] | None = None,
        gaussian: GaussianStatistics | None = None,
        most_compared: int | None = None,
    ) -> None:
        self.features = features
        self.held_out = held_out
        self.logits = logits
        self.images = images
        self.tensors: dict[str, Tensor] = {name: tensor.to(features.device) for name, tensor in (tensors or {}).items()}
        self.most_compared = most_compared
        self.gaussian_alone = gaussian is not None
        if gaussian is not None:
            self._store("gaussian", gaussian)

    @cached_property
    def gaussian(self) -> GaussianStatistics:
        """Mean and covariance of the training features."""
        if "gaussian/mean" not in self.tensors:
            self._store("gaussian", GaussianStatistics.from_features(self.features))
        return self._restore("gaussian")

    @property
    def neighbour_distances(self) -> Tensor:
        """(N, 5) float64 distances of each training feature to its nearest others, ascending."""
        return self.kept("neighbour_distances", self._find_neighbours)

    @cached_property
    def compared(self) -> Tensor:
        """(n, d) the training features that metrics over pairs of items compare: all, or a random subset."""
        return limited(self.features, self.most_compared)

    @property
    def compares_all(self) -> bool:
        """Whether these are all training features."""
        return self.compared is self.features

    @property
    def compared_distances(self) -> Tensor:
        """(n, 5) float64 distances of each of these to its nearest others among them, ascending."""
        if self.compares_all:
            return self.neighbour_distances
        name = f"compared_distances/{self.most_compared}"
        return self.kept(name, lambda: self_pairs(self.compared, max(MANIFOLD_K, BALL_K)).distances)

    @property
    def clipped_balls(self) -> Tensor:
        """(n,) int64, how many clipped balls around others of these contain each, surfaces included."""
        name = "clipped_balls" if self.compares_all else f"clipped_balls/{self.most_compared}"
        return self.kept(name, self._count_clipped_balls)

    @property
    def kernel_sum(self) -> Tensor:
        """0-d float64 sum of the KID kernel over ordered pairs of distinct training features."""
        return self.kept("kernel_sum", self._sum_kernel)

    @property
    def kernel_moments(self) -> Tensor:
        """(L,) float64 third moments of the training features, for sums of the KID kernel."""
        return self.kept("kernel_moments", lambda: third_moments(self.features))

    @property
    def held_out_distances(self) -> Tensor:
        """(H,) float64 distance of each held-out feature to the nearest training feature."""
        return self._held_out("held_out_distances")

    @property
    def held_out_nearest(self) -> Tensor:
        """(H,) int64 index of that training feature."""
        return self._held_out("held_out_nearest")

    @property
    def centroids(self) -> Tensor:
        """(cells, d) float64 centroids of the cells of C_T."""
        return self.kept("centroids", lambda: fit_cells(self.features, COPYING_CELLS))

    @property
    def held_out_cells(self) -> Tensor:
        """(H,) int64 cell of each held-out feature."""
        return self.kept("held_out_cells", lambda: assign_cells(self._needed("held_out"), self.centroids))

    @cached_property
    def gap_parts(self) -> tuple[list[GaussianStatistics], list[GaussianStatistics]]:
        """Statistics of equal parts of the training and the held-out features, for `fd_gap`."""
        if "gap/train/0/mean" not in self.tensors:
            for side, parts in zip(
                ("train", "held_out"), split_reference(self.features, self._needed("held_out")), strict=True
            ):
                for index, part in enumerate(parts):
                    self._store(f"gap/{side}/{index}", part)
        return self._restore_all("gap/train"), self._restore_all("gap/held_out")

    @property
    def class_histogram(self) -> Tensor:
        """(C,) float64 shares of the classes that the classifier predicts in the training split."""
        return self.kept("class_histogram", lambda: class_histogram(self._needed("logits")))

    @property
    def intensities(self) -> Tensor:
        """(C, 256) float64 histogram of the training images' levels."""
        return self.kept("intensities", lambda: _intensities(self._needed("images")))

    @property
    def spectrum(self) -> Tensor:
        """(R,) float64 shares of power of the training images."""
        return self.kept("spectrum", lambda: pixels.power_spectrum(pixels.of_spectrum(self._needed("images")))[1])

    def kept(self, name: str, find: Callable[[], Tensor]) -> Tensor:
        """Return the tensor `name`, computing it with `find` if it is missing: for what only one method needs."""
        if name not in self.tensors:
            self.tensors[name] = find()
        return self.tensors[name]

    def _find_neighbours(self) -> Tensor:
        kernel = self._shares_products and "kernel_sum" not in self.tensors
        found = self_pairs(self.features, max(MANIFOLD_K, BALL_K), kernel=kernel)
        if found.kid_rows is not None:
            self.tensors["kernel_sum"] = found.kid_rows.sum()
        return found.distances

    def _sum_kernel(self) -> Tensor:
        if moments_pay(*self.features.shape):
            return sum_of_distinct(self.features, self.kernel_moments)
        if self._shares_products:
            self.tensors["neighbour_distances"] = self._find_neighbours()
            return self.tensors["kernel_sum"]
        return kid_rows(self.features, self.features).sum()

    @property
    def _shares_products(self) -> bool:
        return share_products(len(self.features), len(self.features), self.features.shape[1])

    def _count_clipped_balls(self) -> Tensor:
        # Not from the nearest neighbours: the ball of an item that occurs often contains more than k others.
        balls = ClippedBalls(len(self.compared), self.compared_distances[:, BALL_K - 1])
        sweep(self.compared, self.compared, [balls])
        return balls.balls - 1  # each is in its own

    def _held_out(self, name: str) -> Tensor:
        if name not in self.tensors:
            distances, indices = nearest_neighbours(self._needed("held_out"), self.features)
            self.tensors["held_out_distances"] = distances[:, 0]
            self.tensors["held_out_nearest"] = indices[:, 0]
        return self.tensors[name]

    def _store(self, name: str, statistics: GaussianStatistics) -> None:
        self.tensors |= {f"{name}/{key}": tensor for key, tensor in statistics.tensors().items()}

    def _restore(self, name: str) -> GaussianStatistics:
        start = f"{name}/"
        found = {key.removeprefix(start): tensor for key, tensor in self.tensors.items() if key.startswith(start)}
        return GaussianStatistics.from_tensors(found)

    def _restore_all(self, name: str) -> list[GaussianStatistics]:
        count = sum(key.startswith(f"{name}/") and key.endswith("/mean") for key in self.tensors)
        return [self._restore(f"{name}/{index}") for index in range(count)]

    def _needed(self, name: str) -> Tensor:
        tensor: Tensor | None = getattr(self, name)
        if tensor is None:
            raise NotMeasurable(f"reference statistics: {name} of the data needed, none given")
        return tensor


def _intensities(images: Tensor) -> Tensor:
    return pixels.intensity_histogram(images, pixels.most_levels(images))
