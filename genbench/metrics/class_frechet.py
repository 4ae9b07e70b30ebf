"""The Fréchet distance per class (intra-FID): whether samples of each class look like the data of that class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from genbench.metrics.constants import CLASS_LEAST
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.not_measurable import NotMeasurable

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["class_distances", "measure"]


def class_distances(
    samples: Tensor,
    labels: Tensor,
    reference: Tensor,
    reference_labels: Tensor,
    *,
    classes: int,
    least: int = CLASS_LEAST,
) -> list[float]:
    """Return, class by class, the Fréchet distance between the samples and the data of each class.

    Their mean is the intra-FID. A generator that ignores its labels has the same `fd` as one that follows them, but not
    the same mean here. Each distance uses the images of only one class and has the upward bias of so few: compare only
    at equal counts.

    Paper: Miyato & Koyama 2018, "cGANs with projection discriminator", section 4.1,
    https://arxiv.org/abs/1802.05637

    Args:
        samples: (M, d) features.
        labels: (M,) int64 in 0..classes − 1.
        reference: (N, d) features of the data.
        reference_labels: (N,) int64, likewise.
        classes: number of classes; a class absent from the data is left out.
        least: images of each kind that a class must have.

    Raises:
        NotMeasurable: a class of the data has fewer than `least` samples or images; leaving it out would reward a
            generator that drops a class.

    Example:
        >>> import torch
        >>> data, labels = torch.tensor([[0.0], [2.0], [10.0], [12.0]]), torch.tensor([0, 0, 1, 1])
        >>> class_distances(data + 3, labels, data, labels, classes=2, least=2)
        [9.0, 9.0]
    """
    found = []
    for label in range(classes):
        own, data = (
            samples[labels.to(samples.device) == label],
            reference[reference_labels.to(reference.device) == label],
        )
        if not len(data):
            continue
        if min(len(own), len(data)) < least:
            raise NotMeasurable(
                f"class_fd: class {label} has {len(own)} samples and {len(data)} data items, "
                f"needs at least {least} of each"
            )
        found.append(frechet_distance(GaussianStatistics.from_features(own), GaussianStatistics.from_features(data)))
    return found


def measure(evidence: Evidence) -> dict[str, float]:
    """`class_fd`, the mean over classes, and `class_fd_worst`, the largest."""
    assert evidence.reference_labels is not None
    labels, classes = evidence.labels_of_samples("class_fd")
    distances = class_distances(
        evidence.samples, labels, evidence.reference, evidence.reference_labels, classes=classes
    )
    return {"class_fd": sum(distances) / len(distances), "class_fd_worst": max(distances)}
