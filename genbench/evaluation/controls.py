"""The controls: stand-ins for a model that anchor a table.

`real` draws held-out items: the floor of a distance at this sample count. `gaussian` knows only the mean and covariance
of the pixels of images, or the long-term spectrum of clips; `ngram` knows which symbols of texts follow two others.
`noise` knows nothing, and `silence` is a clip without sound, which some embeddings score well. `copycat` replays
training items: the best possible distance, but not a generative model, which the memorisation metrics must catch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from genbench.config import CONTROLS
from genbench.datasets.dataset import REFERENCE_LIMIT, Dataset, Split
from genbench.datasets.order import balanced_order
from genbench.evaluation import coloured_noise, ngram
from genbench.metrics.gaussian import GaussianStatistics

__all__ = ["draw", "rows"]


def draw(name: str, dataset: Dataset, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` items, (count, ...) as stored."""
    return _DRAW[name](dataset, count, generator)


def _real(dataset: Dataset, count: int, generator: torch.Generator) -> Tensor:
    return dataset.held_out.items.index_select(0, rows(dataset.held_out, count, generator))


def _copycat(dataset: Dataset, count: int, generator: torch.Generator) -> Tensor:
    return dataset.train.items.index_select(0, rows(dataset.train, count, generator))


def rows(split: Split, count: int, generator: torch.Generator) -> Tensor:
    """Draw rows of a split, (count,) int64, without replacement until it is exhausted, then start over."""
    rounds = -(-count // len(split))
    return torch.cat([_order(split, generator) for _ in range(rounds)])[:count]


def _order(split: Split, generator: torch.Generator) -> Tensor:
    """Return a random order of a split; with labels, one whose every prefix has the classes in their proportions.

    The best copy keeps the proportions: left to chance, they would affect its distance more than the images do.
    """
    return balanced_order(len(split), split.labels, generator)


def _noise(dataset: Dataset, count: int, generator: torch.Generator) -> Tensor:
    return dataset.kind.random(count, dataset.shape, generator)


def _silence(dataset: Dataset, count: int, generator: torch.Generator) -> Tensor:
    return torch.zeros((count, *dataset.shape), dtype=dataset.train.items.dtype)


def _gaussian(dataset: Dataset, count: int, generator: torch.Generator) -> Tensor:
    drawn = _GAUSSIANS[dataset.kind.name](dataset.train.items, count, generator)
    return dataset.kind.nearest(drawn).view(count, *dataset.shape)


def _of_pixels(items: Tensor, count: int, generator: torch.Generator) -> Tensor:
    statistics = _pixel_statistics(items.flatten(1))
    factor = statistics.factor  # (r, pixels), whose square is the covariance
    return torch.randn(count, len(factor), generator=generator, dtype=torch.float64) @ factor + statistics.mean


def _of_spectrum(items: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return coloured_noise.fit(items).draw(count, generator)


# For clips, a covariance over all samples is neither affordable nor intended.
_GAUSSIANS: dict[str, Callable[[Tensor, int, torch.Generator], Tensor]] = {"image": _of_pixels, "audio": _of_spectrum}


def _ngram(dataset: Dataset, count: int, generator: torch.Generator) -> Tensor:
    return ngram.fit(dataset.train.items[:REFERENCE_LIMIT], dataset.kind.levels).draw(
        count, dataset.shape[0], generator
    )


def _pixel_statistics(pixels: Tensor) -> GaussianStatistics:
    count, size = pixels.shape
    if count <= size:
        return GaussianStatistics.from_features(pixels.float())
    from genbench.metrics.moments import FeatureMoments  # imports torchmetrics, which takes four seconds

    moments = FeatureMoments(size)
    for chunk in pixels.split(4096):  # a memory-mapped split is never loaded whole
        moments.update(chunk.float())
    return moments.compute()


_DRAW: dict[str, Callable[[Dataset, int, torch.Generator], Tensor]] = {
    "real": _real,
    "gaussian": _gaussian,
    "ngram": _ngram,
    "silence": _silence,
    "noise": _noise,
    "copycat": _copycat,
}
assert _DRAW.keys() == CONTROLS.keys()
