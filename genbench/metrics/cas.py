"""The classification accuracy score: how well a classifier trained only on samples classifies real images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.constants import CAS_BATCH, CAS_STEPS
from genbench.metrics.features import check_images
from genbench.metrics.not_measurable import NotMeasurable
from genbench.metrics.small_classifier import IMAGES, predict, train

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["classification_accuracy_score", "measure"]


def classification_accuracy_score(
    images: Tensor,
    labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
    classes: int,
    *,
    steps: int = CAS_STEPS,
    batch: int = CAS_BATCH,
    seed: int = 0,
) -> float:
    """Return the accuracy on real held-out images of a small classifier trained on samples.

    In [0, 1]; the `real` control gives the value of real images under the same budget. Three 3×3 convolutions of 16, 32
    and 64 channels (stride 2 while the side is at least 8), ReLU, one linear layer; Adam with a cosine schedule from
    0.002 for a fixed number of steps. Images over 32 pixels are average-pooled to 32. The paper trains a ResNet-50 on
    ImageNet: the idea is the same, the numbers are not comparable. All randomness comes from `seed`, none from the
    global generator; on the CPU, repeats agree.

    Paper: Ravuri & Vinyals 2019, "Classification accuracy score for conditional generative models",
    https://arxiv.org/abs/1905.10887

    Args:
        images: (N, C, H, W) uint8 samples.
        labels: (N,) int64, requested from a conditional model or assigned by a classifier.
        test_images: (M, C, H, W) uint8 real images.
        test_labels: (M,) int64.
        classes: number of classes.
        steps: training steps.
        batch: samples per step, drawn with replacement.
        seed: seeds the weights and the batches.

    Raises:
        ValueError: images that are not uint8, shapes that differ, or a label that is not a class.
    """
    check_images(images, "samples")
    check_images(test_images, "held-out images")
    if images.shape[1:] != test_images.shape[1:]:
        raise ValueError(f"cas: samples are {tuple(images.shape[1:])}, held-out items {tuple(test_images.shape[1:])}")
    for name, found in (("sample", labels), ("held-out", test_labels)):
        if int(found.min()) < 0 or int(found.max()) >= classes:
            raise ValueError(f"cas: {name} labels must lie in 0..{classes - 1}")
    weights = train(IMAGES, [(images, labels)], classes, steps, batch, torch.Generator().manual_seed(seed))
    predicted = predict(IMAGES, test_images, weights)
    return float((predicted == test_labels.to(predicted.device)).double().mean())


def measure(evidence: Evidence) -> dict[str, float]:
    """`cas`, with the labels requested from a conditional model, else those assigned by the extractor's classifier."""
    assert evidence.sample_items is not None
    assert evidence.held_out_items is not None
    assert evidence.held_out_labels is not None
    labels, classes = evidence.labels_of_samples("cas")
    held_out_labels = evidence.held_out_labels
    images, test_images = evidence.sides(evidence.sample_items, evidence.held_out_items)
    labels, test_labels = evidence.sides(labels, held_out_labels)
    if not len(images) or not len(test_images):
        raise NotMeasurable(f"cas: needs at least 2 held-out items to halve, got {len(test_images)}")
    value = classification_accuracy_score(images, labels, test_images, test_labels, classes, seed=evidence.seed)
    return {"cas": value}
