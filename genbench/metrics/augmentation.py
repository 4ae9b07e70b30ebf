"""The gain from augmentation: how much adding samples to the real items improves a small classifier's accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["measure"]


def measure(evidence: Evidence) -> dict[str, float]:
    """`accuracy_real`, `accuracy_samples`, `accuracy_both`, and `augmentation_gain`, the third minus the first."""
    found = evidence.augmented
    real, samples, both = (float(right.double().mean()) for right in (found.real, found.samples, found.both))
    return {
        "accuracy_real": real,
        "accuracy_samples": samples,
        "accuracy_both": both,
        "augmentation_gain": both - real,
    }
