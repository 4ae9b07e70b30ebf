"""Known distributions, and samples from a generator that fails in one known way.

Each function takes how badly it fails (0: not at all), a random generator and a count, and returns that many samples,
training items and held-out items. Everything random is drawn first and distorted afterwards, so that draws from one
seed differ only by the failure.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor

__all__ = ["DIMENSION", "MODES", "Draw"]

DIMENSION = 8
MODES = 8  # as many as there are features: mode i lies on axis i
MODE_DISTANCE = 6.0  # deviations from the origin, so modes are 8.5 apart
SHIFT_OF_BAD_SAMPLES = 2.0
OUTLIER_SPREAD = 10.0
BAD_FEATURE_SHIFT = 5.0
NARROWED = 0.5


class Draw(NamedTuple):
    """(n, d) float32 each."""

    samples: Tensor
    reference: Tensor
    held_out: Tensor


def normal(random: Generator, count: int, dimension: int = DIMENSION) -> Draw:
    """Three sets from the standard normal distribution."""
    return Draw(*torch.randn(3, count, dimension, generator=random))


def shifted(level: float, random: Generator, count: int) -> Draw:
    """Samples with every feature shifted by `level` deviations."""
    clean = normal(random, count)
    return clean._replace(samples=clean.samples + level)


def widened(level: float, random: Generator, count: int) -> Draw:
    """Samples with `1 + level` times the deviation; a negative level narrows."""
    clean = normal(random, count)
    return clean._replace(samples=clean.samples * (1 + level))


def sequentially_dropped(level: float, random: Generator, count: int) -> Draw:
    """Samples from only the first `MODES − level` modes, evenly."""
    return _of_modes(random, torch.arange(count) % (MODES - int(level)))


def simultaneously_dropped(level: float, random: Generator, count: int) -> Draw:
    """Samples where a share `level` of those in any mode lies in the first one instead."""
    labels = torch.arange(count) % MODES
    moved = torch.rand(count, generator=random) < level
    return _of_modes(random, torch.where(moved, 0, labels))


def unevenly_weighted(level: float, random: Generator, count: int) -> Draw:
    """Samples where each mode of the first half holds `1 + level` times as many as each of the second."""
    half = MODES // 2
    often = torch.arange(count) < round(count * (1 + level) / (2 + level))
    return _of_modes(random, torch.arange(count) % half + torch.where(often, 0, half))


def invented(level: float, random: Generator, count: int) -> Draw:
    """Samples that come from `level` modes absent from the data as often as from each of the data's."""
    labels = torch.arange(count) % (MODES + int(level))
    return _of_modes(random, labels)


def repeated_point(level: float, random: Generator, count: int) -> Draw:
    """Samples of which a share `level` is one and the same: the one nearest to the mean of the distribution."""
    clean = normal(random, count)
    samples = clean.samples.clone()
    samples[: round(level * count)] = samples[samples.norm(dim=1).argmin()].clone()
    return clean._replace(samples=samples)


def repeated_samples(level: float, random: Generator, count: int) -> Draw:
    """Samples that each occur `1 + level` times."""
    clean = normal(random, count)
    return clean._replace(samples=clean.samples[torch.arange(count) // int(1 + level)])


def outlying_samples(level: float, random: Generator, count: int) -> Draw:
    """Samples of which a share `level` lies far out."""
    clean = normal(random, count)
    return clean._replace(samples=_with_outliers(clean.samples, level))


def outlying_reference(level: float, random: Generator, count: int) -> Draw:
    """Bad samples (shifted by two deviations), and training items of which a share `level` lies far out."""
    clean = normal(random, count)
    return Draw(clean.samples + SHIFT_OF_BAD_SAMPLES, _with_outliers(clean.reference, level), clean.held_out)


def copied(level: float, random: Generator, count: int) -> Draw:
    """Samples of which a share `level` are training items."""
    return _copied(normal(random, count), level, noise=0.0)


def nearly_copied(level: float, random: Generator, count: int) -> Draw:
    """The same, with noise of a tenth of the deviation on each copy."""
    return _copied(normal(random, count), level, noise=0.1)


def fewer(level: float, random: Generator, count: int) -> Draw:
    """A share `1 − level` of the samples."""
    clean = normal(random, count)
    return clean._replace(samples=clean.samples[: round((1 - level) * count)])


def bad_feature(level: float, random: Generator, count: int) -> Draw:
    """Samples with `level` features, one of which is shifted by five deviations."""
    clean = of_dimension(level, random, count)
    clean.samples[:, 0] += BAD_FEATURE_SHIFT
    return clean


def narrowed_high(level: float, random: Generator, count: int) -> Draw:
    """Samples with `level` features and half the deviation."""
    clean = of_dimension(level, random, count)
    return clean._replace(samples=clean.samples * NARROWED)


def copied_high(level: float, random: Generator, count: int) -> Draw:
    """Samples with `level` features; half of the samples are training items."""
    return _copied(of_dimension(level, random, count), 0.5, noise=0.0)


def of_dimension(level: float, random: Generator, count: int) -> Draw:
    """Three sets from the standard normal distribution with `level` features."""
    return normal(random, count, int(level))


def reordered(level: float, random: Generator, count: int) -> Draw:
    """Samples shifted by half a deviation; above 0, every set in another order."""
    draw = shifted(0.5, random, count)
    if not level:
        return draw
    return Draw(*(side[torch.randperm(len(side), generator=random)] for side in draw))


def scaled(level: float, random: Generator, count: int) -> Draw:
    """Samples shifted by half a deviation, all features of all sets times `1 + level`."""
    return Draw(*(side * (1 + level) for side in shifted(0.5, random, count)))


def one_scaled(level: float, random: Generator, count: int) -> Draw:
    """Samples shifted by half a deviation, the first feature of all sets times `1 + level`."""
    factors = torch.ones(DIMENSION)
    factors[0] += level
    return Draw(*(side * factors for side in shifted(0.5, random, count)))


def _of_modes(random: Generator, labels: Tensor) -> Draw:
    """Data from all modes, evenly, and samples from these; modes from `MODES` on lie opposite to the data's."""
    axes = MODE_DISTANCE * torch.eye(MODES, DIMENSION)
    centres = torch.cat([axes, -axes])
    of_data = centres[torch.arange(len(labels)) % MODES]
    clean = normal(random, len(labels))
    return Draw(clean.samples + centres[labels], clean.reference + of_data, clean.held_out + of_data)


def _with_outliers(items: Tensor, share: float) -> Tensor:
    far = items.clone()
    far[: round(share * len(items))] *= OUTLIER_SPREAD
    return far


def _copied(clean: Draw, share: float, noise: float) -> Draw:
    """The noise is the previous value of the sample, so that nothing more is drawn."""
    count = round(share * len(clean.samples))
    samples = clean.samples.clone()
    samples[:count] = clean.reference[:count] + noise * samples[:count]
    return clean._replace(samples=samples)
