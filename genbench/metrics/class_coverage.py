"""Class coverage, and the divergence of the samples' class histogram from the data's: mode collapse in one number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from genbench.metrics.class_histogram import class_histogram
from genbench.metrics.constants import COVERED_SHARE, UNIFORM_SHARE

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["class_coverage", "class_divergence", "measure"]


def class_coverage(samples: Tensor, reference: Tensor, *, share: float = COVERED_SHARE) -> float:
    """Return the share of the data's classes that the samples cover.

    A class counts as covered when its share of the samples is at least `share` times its share of the data, so that a
    classifier's few errors cannot cover a class that the generator dropped. Classes absent from the data are left out.
    Blind to anything within a class. With M samples, a class of share p is missed by chance unless M p is well above 1.

    Args:
        samples: (C,) histogram from `class_histogram`.
        reference: (C,) the same for the data, by the same classifier, so that its errors affect both sides.
        share: how much of its share of the data a class must reach.

    Example:
        >>> import torch
        >>> class_coverage(torch.tensor([0.5, 0.5, 0.0, 0.0]), torch.full((4,), 0.25))
        0.5
    """
    present = reference > 0
    held = samples[present] >= share * reference[present]
    return float(held.double().mean())


def class_divergence(samples: Tensor, reference: Tensor, *, uniform_share: float = UNIFORM_SHARE) -> float:
    """Return `KL(samples ‖ data)` of the class histograms in nats, each mixed with a little of the uniform one.

    `Σ_c p_c ln(p_c / q_c)` with `p = (1 − u) p̂ + u/C`, and likewise q: finite even where the data hold no image of a
    class, and exactly 0 for equal histograms. At least 0; a generator that drops 3 of 10 equal classes scores
    ln(10/7) = 0.357, less the effect of u. The sampling bias is about (C − 1)/2 · (1/M + 1/N).

    Args:
        samples: (C,) histogram from `class_histogram`.
        reference: (C,) the same for the data.
        uniform_share: u.

    Example:
        >>> import torch
        >>> uniform = torch.full((10,), 0.1)
        >>> dropped = torch.tensor([1 / 7] * 7 + [0.0] * 3)
        >>> round(class_divergence(dropped, uniform), 3)
        0.354
    """
    classes = len(reference)
    p = (1 - uniform_share) * samples.double() + uniform_share / classes
    q = (1 - uniform_share) * reference.double() + uniform_share / classes
    return max(0.0, float((p * (p / q).log()).sum()))


def measure(evidence: Evidence) -> dict[str, float]:
    """`class_coverage` and `class_kl` of the samples."""
    assert evidence.sample_logits is not None
    samples = class_histogram(evidence.sample_logits)
    reference = evidence.statistics.class_histogram
    return {
        "class_coverage": class_coverage(samples, reference),
        "class_kl": class_divergence(samples, reference),
    }
