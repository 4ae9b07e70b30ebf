"""The train-against-held-out gap of the Fréchet distance: how much nearer the samples are to what was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.frechet import frechet_distance
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.metric import NotMeasurable
from genbench.metrics.table import GAP_HALVINGS, GAP_PARTS

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["frechet_gap", "measure", "split_reference"]


def frechet_gap(
    samples: GaussianStatistics, train_parts: list[GaussianStatistics], held_out: list[GaussianStatistics]
) -> float:
    """Return `FD(samples, held-out) − FD(samples, train)`, both references of one size.

    The Fréchet distance grows as its reference shrinks, so a plain difference between a large training split and a
    small held-out one says nothing; `split_reference` cuts the larger into parts as large as the smaller, and the
    mean over parts is taken. Near 0 for samples of the data's own distribution, whatever else is wrong with them;
    above it, they resemble the training images more than new ones. Blind to copies that are few or spread evenly.

    Args:
        samples: statistics of the samples.
        train_parts: statistics of disjoint parts of the training features.
        held_out: the same of held-out features, each from as many.
    """

    def mean_distance(parts: list[GaussianStatistics]) -> float:
        return sum(frechet_distance(samples, part) for part in parts) / len(parts)

    return mean_distance(held_out) - mean_distance(train_parts)


def split_reference(
    train: Tensor, held_out: Tensor, *, parts: int = GAP_PARTS, seed: int = 0
) -> tuple[list[GaussianStatistics], list[GaussianStatistics]]:
    """Return statistics of disjoint random parts of both splits, of the smaller one's size, at most `parts` of each."""
    size = min(len(train), len(held_out))
    generator = torch.Generator().manual_seed(seed)

    def cut(features: Tensor) -> list[GaussianStatistics]:
        order = torch.randperm(len(features), generator=generator).to(features.device)
        chosen = torch.split(order, size)[: min(parts, len(features) // size)]
        return [GaussianStatistics.from_features(features[part]) for part in chosen]

    return cut(train), cut(held_out)


def measure(evidence: Evidence) -> dict[str, float]:
    """`fd_gap` of the samples."""
    if not evidence.samples_held_out:
        return {"fd_gap": frechet_gap(evidence.sample_gaussian, *evidence.statistics.gap_parts)}
    assert evidence.held_out is not None
    if len(evidence.held_out) < 4:
        raise NotMeasurable(f"fd_gap: needs at least 4 held-out images to halve, got {len(evidence.held_out)}")
    gaps = []
    for halving in range(GAP_HALVINGS):
        samples, held_out = evidence.sides(evidence.samples, evidence.held_out, halving)
        parts = split_reference(evidence.reference, held_out, seed=halving)
        gaps.append(frechet_gap(GaussianStatistics.from_features(samples), *parts))
    return {"fd_gap": sum(gaps) / len(gaps)}
