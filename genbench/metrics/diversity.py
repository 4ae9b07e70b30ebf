"""Diversity within a class: the mean MS-SSIM between pairs of samples of one class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.constants import DIVERSITY_LEAST, DIVERSITY_PAIRS, DIVERSITY_VALUES
from genbench.metrics.features import affordable, taken
from genbench.metrics.not_measurable import NotMeasurable
from genbench.metrics.similarity import similarity

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["measure", "within_class_similarity"]


def within_class_similarity(
    images: Tensor, labels: Tensor | None = None, *, pairs: int = DIVERSITY_PAIRS, seed: int = 0
) -> float:
    """Return the MS-SSIM of random pairs of images of one class, averaged over pairs, then over classes.

    Near 1, the images of a class are all alike (collapse); the lower, the more diverse. Noise scores lowest of all, so
    lower is not simply better: read it against the data's own value (the `real` control). Images under 22 pixels have
    one scale, so this is plain SSIM, and under 11 pixels it uses a smaller window: see `similarity`.

    Paper: Odena, Olah & Shlens 2017, "Conditional image synthesis with auxiliary classifier GANs",
    https://arxiv.org/abs/1610.09585

    Args:
        images: (N, C, H, W) uint8, at least 3×3 pixels.
        labels: (N,) int64; None puts all in one class.
        pairs: at most, in total, and fewer for large images (`DIVERSITY_VALUES`, `DIVERSITY_LEAST`); each class with
            at least two images gets an equal share, and if classes outnumber pairs, a random subset of classes is used.
        seed: seeds the pairs.

    Raises:
        NotMeasurable: images under 3×3, or no class with two of them.
    """
    if min(images.shape[2:]) < 3:
        raise NotMeasurable(f"ms_ssim: needs images of at least 3×3 pixels, got {images.shape[2]}×{images.shape[3]}")
    labels = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels.cpu()
    members = [found for label in torch.unique(labels) if len(found := (labels == label).nonzero().flatten()) > 1]
    if not members:
        raise NotMeasurable("ms_ssim: needs at least 2 samples of one class")
    pairs = min(pairs, affordable(images, DIVERSITY_VALUES, DIVERSITY_LEAST))
    generator = torch.Generator().manual_seed(seed)
    if len(members) > pairs:
        members = [members[int(index)] for index in torch.randperm(len(members), generator=generator)[:pairs]]
    each = pairs // len(members)
    first, second = (torch.cat(side) for side in zip(*(_draw(m, each, generator) for m in members), strict=True))
    values = similarity(taken(images, first), taken(images, second), multiscale=True)
    return float(values.mean())


def _draw(members: Tensor, pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw pairs of two different members."""
    first = torch.randint(len(members), (pairs,), generator=generator)
    step = torch.randint(1, len(members), (pairs,), generator=generator)
    return members[first], members[(first + step) % len(members)]


def measure(evidence: Evidence) -> dict[str, float]:
    """`ms_ssim` within the requested classes, else within those the classifier predicts, else among all samples."""
    assert evidence.sample_items is not None
    labels = evidence.sample_labels
    if labels is None and evidence.sample_logits is not None:
        labels = evidence.sample_logits.argmax(dim=1)
    return {"ms_ssim": within_class_similarity(evidence.sample_items, labels, seed=evidence.seed)}
