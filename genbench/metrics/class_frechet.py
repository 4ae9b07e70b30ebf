"""The Fréchet distance class by class (intra-FID): whether samples of each class look like the data of that class."""

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
    """Return the Fréchet distance of the samples of each class to the data of that class, class by class.

    Their mean is the intra-FID. A generator that ignores its labels has the `fd` of one that follows them, and another
    mean here. Each distance is of the images of one class alone, so its upward bias is that of so few: compare at
    equal counts only.

    Paper: Miyato & Koyama 2018, "cGANs with projection discriminator", section 4.1,
    https://arxiv.org/abs/1802.05637

    Args:
        samples: (M, d) features.
        labels: (M,) int64 in 0..classes − 1.
        reference: (N, d) features of the data.
        reference_labels: (N,) int64, likewise.
        classes: how many; a class that the data lack is left out.
        least: images of each kind that a class must have.

    Raises:
        NotMeasurable: a class of the data has fewer than `least` samples or images: without it the mean would reward
            a generator that drops a class.

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
                f"class_fd: class {label} has {len(own)} samples and {len(data)} images of the data, "
                f"at least {least} of each needed"
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
