"""The feature likelihood divergence (FLD): how likely held-out items are under Gaussians around the samples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.blocks import Block
from genbench.metrics.constants import FLD_FACTOR, FLD_ITEMS, FLD_ORIGIN, FLD_RATE, FLD_STEPS
from genbench.metrics.features import limited
from genbench.metrics.neighbours import sweep

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["feature_likelihood_divergence", "fit_log_widths", "half_cost", "log_likelihoods", "measure"]

_CHUNK = 1024  # rows of distances held in float64 at once
_MOMENTUM, _SQUARES, _NO_DIVISION = 0.9, 0.999, 1e-8  # Adam's β₁, β₂ and ε
_EARLIEST, _WINDOW, _FLAT = 6, 5, 5e-4  # after this step, the fit ends once the last losses differ by less than _FLAT
_SMALLEST = 1e-3  # added to the squared distances that the widths start from, so that copies get a width too
_LARGEST_LOG = 40


def feature_likelihood_divergence(
    samples: Tensor, train: Tensor, held_out: Tensor, *, most: int = FLD_ITEMS, seed: int = 0
) -> float:
    """Return 100 times the nats per dimension by which samples explain held-out items worse than training items do.

    Features are standardised to mean 0 and deviation 1 of the held-out items. Gaussians are placed around the samples,
    their widths fitted to the training items (`fit_log_widths`), and held-out items scored under their mixture. The
    result is this cost minus that of `half_cost`. Around copies of training items the Gaussians become so narrow that
    held-out items are unlikely under them.

    Paper: Jiralerspong et al. 2023, "Feature likelihood divergence: evaluating the generalization of generative models
    using samples", https://arxiv.org/abs/2302.04440

    Args:
        samples: (M, d) features, M ≥ 1.
        train: (N, d), N ≥ 4.
        held_out: (H, d), H ≥ 2.
        most: samples used, at most, and training items that widths are fitted to.
        seed: seeds the choice of items where there are more, and the halves.

    Returns:
        About 0 for samples as good as half of the training items, below 0 for better ones, and above 100 for copies.
    """
    centres, fitted_to, scored = (_standard(side, held_out) for side in (limited(samples, most, seed), train, held_out))
    cost = _cost(centres, limited(fitted_to, most, seed), scored)
    return FLD_FACTOR * (cost - half_cost(train, held_out, len(samples), most=most, seed=seed))


def half_cost(train: Tensor, held_out: Tensor, count: int, *, most: int = FLD_ITEMS, seed: int = 0) -> float:
    """Return the nats per dimension of held-out items under Gaussians around some training items, fitted to the others.

    Args:
        train: (N, d), N ≥ 4.
        held_out: (H, d), H ≥ 2.
        count: number of samples, and so of Gaussians, but at most half of the training items.
        most: as in `feature_likelihood_divergence`.
        seed: seeds the split of the training items.
    """
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).to(train.device)
    centres, others = order.split([half := min(count, most, len(train) // 2), len(train) - half])
    sides = (train[centres], train[others[:most]], held_out)
    return _cost(*(_standard(side, held_out) for side in sides))


def fit_log_widths(centres: Tensor, items: Tensor) -> Tensor:
    """Return (n,) float64 `log σ_i²` of Gaussians of weight 1/n that make the items likely, as the paper's code does.

    Adam takes up to 50 steps on the mean over d of the log-likelihood, each over all items, starting from
    `σ_i² = (|x − c_i|² + 0.001)/d` for the nearest item x. One additional Gaussian, of weight 1 around the items' mean
    with the items at 0.9 of their distance, keeps far items from dominating; it is removed afterwards.

    Args:
        centres: (n, d) c_i.
        items: (N, d).
    """
    squared, dimension = _squared(items, centres), centres.shape[1]
    origin = FLD_ORIGIN**2 * (items.double() - items.double().mean(dim=0)).square().sum(dim=1)
    start = ((squared.min(dim=0).values.double() + _SMALLEST) / dimension).log()
    widths = torch.cat([start, start.new_zeros(1)])  # the last belongs to the Gaussian around the mean
    mean, square = torch.zeros_like(widths), torch.zeros_like(widths)  # of the gradients, by Adam
    losses: list[float] = []
    for step in range(1, FLD_STEPS + 1):
        loss, gradient = _loss(squared, origin, widths, dimension)
        mean = _MOMENTUM * mean + (1 - _MOMENTUM) * gradient
        square = _SQUARES * square + (1 - _SQUARES) * gradient.square()
        spread = (square / (1 - _SQUARES**step)).sqrt() + _NO_DIVISION
        widths -= FLD_RATE / (1 - _MOMENTUM**step) * mean / spread
        widths[:-1].clamp_(-_LARGEST_LOG, _LARGEST_LOG)
        losses.append(loss)
        if step > _EARLIEST and max(abs(loss - other) for other in losses[-_WINDOW:]) < _FLAT:
            break
    return widths[:-1]


def log_likelihoods(items: Tensor, centres: Tensor, log_widths: Tensor) -> Tensor:
    """Return (N,) float64 nats: the logarithm of the Gaussians' mean density at each item."""
    dimension, chunks = centres.shape[1], _squared(items, centres).split(_CHUNK)
    found = torch.cat([_densities(chunk, log_widths, dimension).logsumexp(dim=1) for chunk in chunks])
    return found - math.log(len(centres))


def measure(evidence: Evidence) -> dict[str, float]:
    """`fld` of the samples, none of which may be among the held-out items that are scored."""
    assert evidence.held_out is not None
    samples, held_out = evidence.sides(evidence.samples, evidence.held_out)
    return {"fld": feature_likelihood_divergence(samples, evidence.reference, held_out, seed=evidence.seed)}


def _cost(centres: Tensor, items: Tensor, scored: Tensor) -> float:
    return -float(log_likelihoods(scored, centres, fit_log_widths(centres, items)).mean()) / centres.shape[1]


def _loss(squared: Tensor, origin: Tensor, log_widths: Tensor, dimension: int) -> tuple[float, Tensor]:
    """Return the items' mean negative log-likelihood over d, and its gradient with respect to `log σ²`.

    With r_i the share of Gaussian i in an item's density, the item's log-likelihood changes by
    `r_i (|x − c_i|²/(2 σ_i²) − d/2)`.
    """
    count = len(log_widths) - 1
    total, gradient = 0.0, torch.zeros_like(log_widths)
    for near, far in zip(squared.split(_CHUNK), origin.split(_CHUNK), strict=True):
        distances = torch.cat([near.double(), far[:, None]], dim=1)
        logs = _densities(distances, log_widths, dimension)
        logs[:, :count] -= math.log(count)
        found = logs.logsumexp(dim=1, keepdim=True)
        total -= float(found.sum())
        gradient -= ((logs - found).exp() * (distances / log_widths.exp() - dimension) / 2).sum(dim=0)
    scale = len(squared) * dimension
    return total / scale, gradient / scale


def _densities(squared: Tensor, log_widths: Tensor, dimension: int) -> Tensor:
    """Return log densities of isotropic Gaussians in d dimensions, from squared distances to their centres."""
    return -0.5 * (squared / log_widths.exp() + dimension * (log_widths + math.log(2 * math.pi)))


def _standard(features: Tensor, held_out: Tensor) -> Tensor:
    """Return features standardised to the held-out ones; a feature that is constant there keeps its unit."""
    spread = held_out.std(dim=0)
    return (features - held_out.mean(dim=0)) / torch.where(spread > 0, spread, 1)


class _Squared:
    """Observer: all squared distances, in float32."""

    def __init__(self, rows: int, columns: int, device: torch.device) -> None:
        self.found = torch.empty(rows, columns, device=device)

    def observe(self, block: Block) -> None:
        found = self.found[block.rows, block.columns]
        for strip in block.strips():
            found[strip] = block.squared_of(strip)
        if block.mirrored:
            self.found[block.columns, block.rows] = found.T


def _squared(left: Tensor, right: Tensor) -> Tensor:
    """Return (len(left), len(right)) float32."""
    observer = _Squared(len(left), len(right), left.device)
    sweep(left, right, [observer], filtered=False)  # the distances of near copies decide
    return observer.found
