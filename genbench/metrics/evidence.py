"""`Evidence`: what the metrics read about one model's samples, and the sweeps over pairs that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from genbench.metrics.augmented import Augmented, augmented
from genbench.metrics.constants import BALL_K, MANIFOLD_K
from genbench.metrics.copied import copied_runs, novel
from genbench.metrics.features import check_features, check_items, limited
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.kid_sums import KidSums, MomentSums, PairSums
from genbench.metrics.neighbours import nearest_neighbours
from genbench.metrics.not_measurable import NONE_GIVEN, NotMeasurable
from genbench.metrics.oracle_cost import chain_log_probabilities, oracle_nats
from genbench.metrics.pairs import CrossPairs, SelfPairs, cross_pairs, kid_rows, self_pairs, share_products
from genbench.metrics.reference import ReferenceStatistics
from genbench.metrics.restored import RestoredImages, restored_images
from genbench.metrics.small_classifier import IMAGES, texts
from genbench.metrics.third_moments import moments_pay

__all__ = ["Evidence"]

Found = TypeVar("Found")


@dataclass(frozen=True, eq=False, repr=False)
class Evidence:
    """Everything about one model's samples and the data that a metric may read; None where it does not exist.

    Args:
        samples: (M, d) features of the samples.
        reference: (N, d) features of the training split; absent where `statistics` has only mean and covariance.
        held_out: (H, d) features of held-out images.
        sample_logits: (M, C) from the extractor's classifier; likewise the next two.
        reference_logits: (N, C).
        held_out_logits: (H, C).
        sample_items: (M, C, H, W) uint8 images, (M, L) int16 texts or (M, C, T) int16 clips; likewise the next two.
        reference_items: N from the training split.
        held_out_items: H held-out ones.
        sample_labels: (M,) int64 labels requested from a conditional model.
        reference_labels: (N,) int64 true labels.
        held_out_labels: (H,) int64.
        sample_modes: (M,) int64 mode of each sample, −1 for none.
        mode_count: number of modes of the data.
        originals: (K, ...) held-out items, and
        reconstructions: the model's reconstructions of them.
        log_likelihoods: (K,) nats of held-out images.
        dimensions: number of values in an item, C·H·W.
        levels: how many values an entry of an item can take; for texts, the symbols including the end.
        sample_rate: of clips, in Hz.
        sample_log_probabilities: (M,) float64 nats of the samples under the distribution that generated the data, −∞
            outside its support.
        entropy: of that distribution, in nats per item.
        samples_held_out: whether the samples are held-out images, as for the `real` control: see `sides`.
        seed: seeds everything that a metric draws.
        statistics: of the data; computed from the fields above when not given.

    Raises:
        ValueError: features or logits that hold NaN or infinity, shapes that do not fit, items that are neither uint8
            images nor int16 texts or clips.
    """

    samples: Tensor
    reference: Tensor
    held_out: Tensor | None = None
    sample_logits: Tensor | None = None
    reference_logits: Tensor | None = None
    held_out_logits: Tensor | None = None
    sample_items: Tensor | None = None
    reference_items: Tensor | None = None
    held_out_items: Tensor | None = None
    sample_labels: Tensor | None = None
    reference_labels: Tensor | None = None
    held_out_labels: Tensor | None = None
    sample_modes: Tensor | None = None
    mode_count: int | None = None
    originals: Tensor | None = None
    reconstructions: Tensor | None = None
    log_likelihoods: Tensor | None = None
    dimensions: int | None = None
    levels: int | None = None
    sample_rate: int | None = None
    sample_log_probabilities: Tensor | None = None
    entropy: float | None = None
    samples_held_out: bool = False
    seed: int = 0
    # Never None after construction; its default needs the other fields, so it can only be built in __post_init__.
    statistics: ReferenceStatistics = field(default=cast("ReferenceStatistics", None))
    _found: dict[object, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        check_features(self.samples, "samples")
        check_features(self.reference, "reference", dimension=self.samples.shape[1])
        if self.held_out is not None:
            check_features(self.held_out, "held-out features", dimension=self.samples.shape[1])
        for name in ("sample_logits", "reference_logits", "held_out_logits"):
            if (logits := getattr(self, name)) is not None:
                check_features(logits, name.replace("_", " "))
        for name in ("sample_items", "reference_items", "held_out_items", "originals", "reconstructions"):
            if (items := getattr(self, name)) is not None:
                check_items(items, name.replace("_", " "))
        if cast("ReferenceStatistics | None", self.statistics) is None:
            found = ReferenceStatistics(self.reference, self.held_out, self.reference_logits, self.reference_items)
            object.__setattr__(self, "statistics", found)

    def once(self, find: Callable[[Evidence], Found]) -> Found:
        """Return what `find` computes from this evidence, computing it once: a number and its error share it."""
        if find not in self._found:
            self._found[find] = find(self)
        return cast("Found", self._found[find])

    def sides(self, of_samples: Tensor, of_held_out: Tensor, halving: int = 0) -> tuple[Tensor, Tensor]:
        """Return the rows for the two sides of a test of samples against held-out images.

        Where the samples are held-out images themselves, no image may be on both sides: one random half of the held-out
        images is then tested against the other.

        Args:
            of_samples: (M, ...) anything about the samples.
            of_held_out: (H, ...) the same about the held-out images.
            halving: index of the random halving to use.
        """
        if not self.samples_held_out:
            return of_samples, of_held_out
        order = torch.randperm(len(of_held_out), generator=torch.Generator().manual_seed(self.seed + halving))
        first, second = order.to(of_held_out.device).tensor_split(2)
        return of_held_out[first], of_held_out[second]

    def labels_of_samples(self, who: str) -> tuple[Tensor, int]:
        """Return (M,) int64 labels of the samples, and how many classes the data have.

        They are those requested from a conditional model, else those predicted by the extractor's classifier.

        Args:
            who: the metric that needs them, for the error.

        Raises:
            NotMeasurable: neither is available, or the classifier's classes differ from the data's.
        """
        known = [
            labels for labels in (self.held_out_labels, self.reference_labels) if labels is not None and len(labels)
        ]
        classes = 1 + max((int(labels.max()) for labels in known), default=-1)
        if self.sample_labels is not None:
            return self.sample_labels, classes
        if self.sample_logits is None or self.sample_logits.shape[1] != classes:
            raise NotMeasurable(f"{who}: needs labels of the samples, or a classifier of the data's {classes} classes")
        return self.sample_logits.argmax(dim=1), classes

    @cached_property
    def sample_gaussian(self) -> GaussianStatistics:
        """Mean and covariance of the samples' features."""
        return GaussianStatistics.from_features(self.samples)

    @cached_property
    def restored(self) -> RestoredImages:
        """The errors of each reconstruction."""
        assert self.originals is not None
        assert self.reconstructions is not None
        return restored_images(self.originals, self.reconstructions)

    @cached_property
    def augmented(self) -> Augmented:
        """What small classifiers learn from real items, from samples and from both."""
        real, truth = self.reference_items, self.reference_labels
        assert self.sample_items is not None
        assert real is not None
        assert truth is not None
        assert self.held_out_items is not None
        assert self.held_out_labels is not None
        if real.dtype == torch.int16 and self.levels is None:
            raise NotMeasurable(f"augmentation: needs levels of texts, and {NONE_GIVEN}")
        network = IMAGES if self.levels is None or real.dtype != torch.int16 else texts(self.levels)
        samples, test = self.sides(self.sample_items, self.held_out_items)
        held_out, test_truth = self.sides(self.held_out_labels, self.held_out_labels)
        asked = held_out if self.samples_held_out else self.sample_labels
        classes = 1 + max(int(truth.max()), int(self.held_out_labels.max()))
        return augmented(network, (real, truth), (samples, asked), (test, test_truth), classes, seed=self.seed)

    @cached_property
    def oracle_nats(self) -> Tensor:
        """(M,) float64 nats: the cost of each sample under the distribution that generated the data."""
        assert self.sample_items is not None
        assert self.sample_log_probabilities is not None
        assert self.levels is not None
        assert self.reference_items is not None
        chain = chain_log_probabilities(self.sample_items, self.reference_items, self.levels)
        return oracle_nats(self.sample_log_probabilities, chain)

    @cached_property
    def novel(self) -> Tensor:
        """(M,) booleans: which samples are not a training text."""
        assert self.sample_items is not None
        assert self.reference_items is not None
        return novel(self.sample_items, self.reference_items)

    @cached_property
    def copied_runs(self) -> Tensor:
        """(M,) int64: the length in characters of the longest run of each sample that occurs in a training text."""
        assert self.sample_items is not None
        assert self.reference_items is not None
        return copied_runs(self.sample_items, self.reference_items)

    @cached_property
    def compared(self) -> Tensor:
        """(m, d) the samples that metrics over pairs of items compare: all, or a random subset."""
        return limited(self.samples, self.statistics.most_compared, self.seed)

    @cached_property
    def sample_pairs(self) -> SelfPairs:
        """What neighbour-based metrics need of the compared samples among themselves."""
        return self_pairs(self.compared, MANIFOLD_K, kernel=self._shares_products)

    @cached_property
    def cross_pairs(self) -> CrossPairs:
        """What they need of these with the training features compared."""
        radii = self.statistics.compared_distances
        return cross_pairs(
            self.compared,
            self.statistics.compared,
            sample_radii=self.sample_pairs.distances[:, MANIFOLD_K - 1],
            manifold_radii=radii[:, MANIFOLD_K - 1],
            ball_radii=radii[:, BALL_K - 1],
            nearest=self.statistics.compares_all,
            kernel=self._shares_products,
        )

    @cached_property
    def nearest_training(self) -> tuple[Tensor, Tensor]:
        """(m,) float64 distances of `compared` to their nearest training features, and (m,) int64 these."""
        if self.statistics.compares_all:
            found = self.cross_pairs.nearest
            assert found is not None
            return found
        # A copy of any training item has to be found, also of one that is not among those compared.
        distances, indices = nearest_neighbours(self.compared, self.reference)
        return distances[:, 0], indices[:, 0]

    @cached_property
    def kid_sums(self) -> KidSums:
        """The sums of the KID kernel over the compared samples, and over them and the reference."""
        count = len(self.reference)
        if moments_pay(*self.reference.shape):
            return MomentSums(self.compared, self.statistics.kernel_moments, count)
        if self._shares_products:
            within, across = self.sample_pairs.kid_rows, self.cross_pairs.kid_rows
            assert within is not None
            assert across is not None
            return PairSums(within, across, count)
        return PairSums(kid_rows(self.compared, self.compared), kid_rows(self.compared, self.reference), count)

    @property
    def _shares_products(self) -> bool:
        """Not where the reference is limited: the kernel is summed over all of it."""
        return self.statistics.compares_all and share_products(len(self.compared), *self.reference.shape)
