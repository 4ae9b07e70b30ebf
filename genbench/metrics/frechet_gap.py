"""The train/held-out gap of the Fréchet distance: how much nearer the samples are to the training data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.metrics.constants import GAP_HALVINGS
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.not_measurable import NotMeasurable
from genbench.metrics.reference_parts import split_reference

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["frechet_gap", "measure"]


def frechet_gap(
    samples: GaussianStatistics, train_parts: list[GaussianStatistics], held_out: list[GaussianStatistics]
) -> float:
    """Return `FD(samples, held-out) − FD(samples, train)`, with references of equal size.

    The Fréchet distance grows as its reference shrinks, so a plain difference between a large training split and a
    small held-out one says nothing. `split_reference` cuts the larger into parts as large as the smaller, and the mean
    over parts is taken. Near 0 for samples from the data's own distribution, whatever else is wrong with them; above 0,
    they resemble the training images more than new ones. Blind to copies that are few or evenly spread.

    Args:
        samples: statistics of the samples.
        train_parts: statistics of disjoint parts of the training features.
        held_out: the same for held-out features, each part of equal size.
    """

    def mean_distance(parts: list[GaussianStatistics]) -> float:
        return sum(frechet_distance(samples, part) for part in parts) / len(parts)

    return mean_distance(held_out) - mean_distance(train_parts)


def measure(evidence: Evidence) -> dict[str, float]:
    """`fd_gap` of the samples."""
    if not evidence.samples_held_out:
        return {"fd_gap": frechet_gap(evidence.sample_gaussian, *evidence.statistics.gap_parts)}
    assert evidence.held_out is not None
    if len(evidence.held_out) < 4:
        raise NotMeasurable(f"fd_gap: needs at least 4 held-out items to halve, got {len(evidence.held_out)}")
    gaps = []
    for halving in range(GAP_HALVINGS):
        samples, held_out = evidence.sides(evidence.samples, evidence.held_out, halving)
        parts = split_reference(evidence.reference, held_out, seed=halving)
        gaps.append(frechet_gap(GaussianStatistics.from_features(samples), *parts))
    return {"fd_gap": sum(gaps) / len(gaps)}
