"""The Fréchet distance of new data, and how far it moves, both from subsets of the training data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.constants import FLOOR_SUBSETS
from genbench.metrics.features import taken
from genbench.metrics.frechet import frechet_distance, measure
from genbench.metrics.gaussian import GaussianStatistics

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["floor_of", "held_out_standard_error"]

SHIFTED = 3.5  # deviations of the logarithm from which on a distance shows a shift


def held_out_standard_error(evidence: Evidence, jackknife: float) -> float:
    r"""Return the standard error of the Fréchet distance of samples that are held-out items, as those of `real` are.

    Near its floor a distance x is a sum of squares: nearly all of its variance is of second order, which a jackknife
    counts twice. But training items are draws of the same distribution, so their subsets tell how far such a distance
    moves, without any assumption about the features: by a share :math:`\rho` of its expected value :math:`\theta`. The
    error is then :math:`\rho x`, as that of the logarithm is :math:`\rho`.

    An x beyond :math:`e^{3.5 \rho}` times what subsets have shows that the held-out items differ from the training
    items. (A lower limit would widen the intervals of many distances that are large by chance, besides covering them.)
    Its variance is :math:`v + \max(0, s^2 - 2v)`, where :math:`v = (\rho\theta)^2` and the second part is what the
    jackknife's s² has beyond counting v twice: the part of first order.

    Args:
        evidence: of held-out items.
        jackknife: s.
    """
    training, count = evidence.statistics.features, len(evidence.samples)
    if len(training) < 4:
        return jackknife
    total = evidence.statistics.gaussian
    kept = evidence.statistics.kept(f"frechet_floor/{count}", lambda: floor_of(training, total, count))
    floor, share, most = (float(value) for value in kept)
    distance = measure(evidence)["fd"]
    if distance <= most:
        return share * distance
    second = (share * floor) ** 2
    return math.sqrt(second + max(0.0, jackknife**2 - 2 * second))


def floor_of(training: Tensor, total: GaussianStatistics, count: int) -> Tensor:
    """Return (3,) float64: the expected distance of `count` new items, its logarithm's deviation, and an upper limit.

    Each of `FLOOR_SUBSETS` random subsets is compared with the rest of the training data. Where these are fewer than
    twice the count, the subsets are halves. The distance is in proportion to 1/m + 1/r for m items against r. The
    first number is from an infinite training set, so its second part is 0; the limit is for this one.

    Args:
        training: (N, d), N ≥ 4.
        total: their statistics.
        count: number of items.
    """
    size = min(count, len(training) // 2)
    draw = torch.Generator().manual_seed(0)
    found = []
    for _ in range(FLOOR_SUBSETS):
        rows = torch.randperm(len(training), generator=draw)[:size].to(training.device)
        part, rest = GaussianStatistics.from_features(taken(training, rows)), total.without(training, rows)
        found.append(frechet_distance(part, rest))
    distances = torch.tensor(found, dtype=torch.float64)
    unit = 1 / (1 / size + 1 / (len(training) - size))
    logarithms = distances.clamp(min=torch.finfo(torch.float64).tiny).log()
    spread = logarithms.std()
    highest = (logarithms.mean() + SHIFTED * spread).exp()
    return torch.stack([unit / count * distances.mean(), spread, unit * (1 / count + 1 / len(training)) * highest])
